"""What has no safe point, what was refused and what is not bit-exact: in the panel, its HTML and a terminal."""

from __future__ import annotations

from html import unescape

import pytest

from colab_guard.events import (
    HeartbeatSent,
    LongUnsaved,
    MemoryReclaimed,
    MemorySampled,
    MirrorChanged,
    NoSafePoint,
    NotBitExact,
    OutOfMemoryRecovered,
    PingHeard,
    Resumed,
    SnapshotDurable,
    SnapshotNotTaken,
    SnapshotSent,
    StepDone,
    SweepStarted,
    UnitFinished,
    UnitStarted,
    WorkStarted,
)
from colab_guard.panel.surfaces import TerminalSurface
from colab_guard.panel.text import TextRenderer
from colab_guard.panel.view import LIMIT_BYTES, PIECE_BYTES, weight
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
    assert weight(story.panel.view()) <= LIMIT_BYTES - PIECE_BYTES
    assert len(story.panel.state.safety.refusals) == 4


@pytest.mark.parametrize("letter", ["x", "ä", "長", "🜁"])
def test_the_worst_of_everything_together_keeps_the_panel_small(letter: str) -> None:
    """One to four bytes for each character, every bar with its curve and marks, ten rows, all facts, six events."""
    story, long, name, gib = Story(), letter * 900, "n" * 100, 2**30
    story.post(WorkStarted(name=name, where=long))
    story.post(SweepStarted(sweep=long, total=10_000, done=0, failed=0))
    story.post(NoSafePoint(name=name, places=tuple(f"{number} {long}" for number in range(9))))
    story.post(NotBitExact(name=name, reasons=tuple(f"{number} {long}" for number in range(9))))
    story.post(Resumed(name=name, commit="1-1-a", position=long, depth=2))
    for index in range(12):
        metrics: dict[str, object] = {f"{long}{number}": index + 0.123456789 for number in range(9)}
        story.post(UnitStarted(sweep=long, index=index, total=10_000, label=long, params={f"p{n}": long for n in range(9)}))
        for step in range(1, 200):
            story.post(StepDone(step=step, total=400, loss=1 / step))
        for _ in range(8):
            story.clock.advance(10)
            story.post(MemorySampled(host_used=11 * gib, host_limit=12 * gib, gpu_allocated=9 * gib, gpu_reserved=10 * gib, gpu_other=gib,
                                     gpu_total=15 * gib, gpu_guard=gib, disk_free=gib, disk_total=100 * gib))  # fmt: skip
            story.post(MemoryReclaimed(name=name, host_before=2, host_after=1, gpu_before=2, gpu_after=1, holders=(long,) * 9))
            story.post(OutOfMemoryRecovered(name=name, what=long, did=long, where=long))
        if index < 11:
            story.post(UnitFinished(sweep=long, index=index, label=long, status="failed" if index % 2 else "done", metrics=metrics,
                                    reason=long, did=long, seconds=9.87654321))  # fmt: skip
    story.save("1-2-b", long)
    story.post(SnapshotSent(name=name, commit="1-1-a", where=long))
    story.post(SnapshotDurable(name=name, commit="1-1-a", where=long, receipt=long))
    story.post(MirrorChanged(name=name, state="degraded", reason=long, lag_s=300, bytes_per_s=5e6))
    for number in range(100):
        story.post(SnapshotNotTaken(name=name, position="p", reason=f"{number} {long}", failed=True))
    story.post(HeartbeatSent())
    story.post(PingHeard(round_trip_s=0.012))
    view = story.panel.view()
    assert len(view.bars) == 5 and len(view.rows) == 10 and len(view.facts) >= 7 and view.events and view.safety and view.risk
    assert weight(view) <= LIMIT_BYTES - PIECE_BYTES


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
