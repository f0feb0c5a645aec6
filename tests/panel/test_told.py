"""What has no safe point, what was refused and what is not bit-exact: in the panel, its HTML and a terminal."""

from __future__ import annotations

from html import unescape

import pytest

from colab_guard.events import LongUnsaved, NoSafePoint, NotBitExact, SnapshotNotTaken, WorkStarted
from colab_guard.panel.surfaces import TerminalSurface
from colab_guard.panel.text import TextRenderer
from colab_guard.panel.view import LIMIT_BYTES, weight
from tests.panel.story import NAME, Story

PLACE = "line 7: GridSearchCV.fit() loops inside scikit-learn: no safe point until it returns; after a loss it restarts from line 7"


@pytest.fixture
def story() -> Story:
    story = Story()
    story.begin()
    return story


def everywhere(story: Story, words: str) -> bool:
    return words in story.panel.text() and words in unescape(story.panel.html())


def test_places_without_safe_points_stay_in_sight(story: Story) -> None:
    story.post(NoSafePoint(name=NAME, places=(PLACE,)))
    for number in range(20):
        story.post(SnapshotNotTaken(name=NAME, position="p", reason=f"reason {number}"))
    assert everywhere(story, PLACE)
    story.post(WorkStarted(name="other"))
    assert not everywhere(story, PLACE)


def test_refusals_are_counted_by_reason_also_after_a_save(story: Story) -> None:
    for reason in ("loss is part of a live graph", "loss is part of a live graph", "a thread is in flight"):
        story.post(SnapshotNotTaken(name=NAME, position="p", reason=reason))
    story.save()
    assert everywhere(story, "3 snapshots so far: 2 times: loss is part of a live graph; once: a thread is in flight")


def test_a_long_time_without_a_snapshot_is_one_line(story: Story) -> None:
    story.post(LongUnsaved(name=NAME, seconds=250.0, refused=212, reasons=("212 times: loss (Tensor): a live graph (last at line 12)",)))
    assert story.panel.state.events[-1].text == (
        "No snapshot for 4 min 10 s: 212 safe points refused: 212 times: loss (Tensor): a live graph (last at line 12)"
    )


def test_why_bits_may_differ_stays_in_sight(story: Story) -> None:
    story.post(NotBitExact(name=NAME, reasons=("torch 2.12 → 2.13",), since="before"))
    story.post(NotBitExact(name=NAME, reasons=("Python 3.11 → 3.12",)))
    for number in range(20):
        story.post(SnapshotNotTaken(name=NAME, position="p", reason=f"reason {number}"))
    assert everywhere(story, "torch 2.12 → 2.13; Python 3.11 → 3.12")


def test_all_of_it_together_keeps_the_panel_small(story: Story) -> None:
    story.post(NoSafePoint(name=NAME, places=tuple(f"{number} {'x' * 500}" for number in range(9))))
    story.post(NotBitExact(name=NAME, reasons=tuple(f"{number} {'y' * 500}" for number in range(9))))
    for number in range(100):
        story.post(SnapshotNotTaken(name=NAME, position="p", reason=f"{number} {'z' * 500}"))
    assert weight(story.panel.view()) <= LIMIT_BYTES
    assert len(story.panel.state.safety.refusals) == 4


def test_a_terminal_is_told_before_and_after_and_nothing_twice(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    surface = TerminalSurface()
    story.post(NoSafePoint(name=NAME, places=(PLACE,)))
    story.post(NotBitExact(name=NAME, reasons=("torch 2.12 → 2.13",)))
    surface.show(story.panel.view())
    before = capsys.readouterr().out
    assert len(before.splitlines()) == 3 and PLACE in before and "not bit-exact: torch 2.12 → 2.13" in before
    story.post(LongUnsaved(name=NAME, seconds=250.0, refused=2, reasons=("2 times: a thread",)))
    surface.freeze(story.panel.view())
    after = capsys.readouterr().out
    assert len(after.splitlines()) == 2 and "No snapshot for 4 min 10 s" in after and PLACE not in after


def test_a_terminals_good_case_stays_one_line(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    TerminalSurface().show(story.panel.view())
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert TextRenderer().warnings(story.panel.view()) == []
