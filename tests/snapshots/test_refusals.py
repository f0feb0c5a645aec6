"""Refusals counted by reason, and the longest stretch without a snapshot."""

from __future__ import annotations

import time

from colab_guard.snapshots.refusals import MOST_REASONS, OTHERS, Refusals


def test_reasons_are_counted_with_the_place_where_each_was_met_last() -> None:
    refusals = Refusals(time.monotonic)
    for place in ("line 3", "line 4"):
        refusals.add("a live graph", place)
    refusals.add("a thread", "line 5")
    assert refusals.words() == ["2 times: a live graph (last at line 4)", "once: a thread (last at line 5)"]


def test_many_reasons_are_a_bounded_number_of_lines_and_entries() -> None:
    refusals = Refusals(time.monotonic)
    for number in range(3 * MOST_REASONS):
        refusals.add(f"reason {number}", "p")
    assert len(refusals.counts) == MOST_REASONS + 1 and refusals.counts[OTHERS] == 2 * MOST_REASONS
    assert len(refusals.words()) == 4 and refusals.words()[1].startswith("once: reason 0")


def test_only_the_longest_late_stretch_is_remembered() -> None:
    refusals = Refusals(time.monotonic)
    refusals.add("early", "p")
    refusals.ended(61.0, 60.0)
    assert refusals.longest[0] == 0.0, "one try later is no delay worth a word"
    for seconds, reason in ((200.0, "worst"), (100.0, "later")):
        refusals.add(reason, "p")
        refusals.ended(seconds, 60.0)
    refusals.ended(900.0, 60.0)  # nothing was refused: the code had no safe point
    seconds, counts = refusals.longest
    assert seconds == 200.0 and dict(counts) == {"worst": 1}
