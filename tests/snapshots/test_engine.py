"""The engine turns safe points into commits, and says what was not taken."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest

from colab_guard.clock import SystemClock
from colab_guard.errors import SnapshotRefused
from colab_guard.events import Event, EventBus, SnapshotNotTaken, SnapshotSaved, SpaceNotFreed
from colab_guard.snapshots import Engine, Leaving, Position, Schedule, UnitRecord, refusals
from colab_guard.state import Captured
from colab_guard.store import CommitDraft, CommitRecord
from colab_guard.workers import Workers

HERE = Position("model 1, step 2", 1)


@dataclass
class Sink:
    drafts: list[CommitDraft] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    failing: bool = False
    not_removed: str = ""

    def commit(self, draft: CommitDraft) -> CommitRecord:
        self.gate.wait(5)
        if self.failing:
            raise OSError(28, "No space left on device")
        self.drafts.append(draft)
        number = len(self.drafts)
        return CommitRecord(f"1-{number}-x", 1, number, draft.kind, 0.0, None, draft.position, {}, draft.unit, {})


def captured() -> Captured:
    return Captured(parts={"graph": b"x"}, buffers=[], placeholders=[])


def make(sink: Sink, every_s: float = 0.0) -> tuple[Engine, list[Event]]:
    sink.gate.set()
    clock = SystemClock()
    events: list[Event] = []
    bus = EventBus(synchronous=True)
    bus.subscribe(lambda event, at: events.append(event))
    engine = Engine("work", sink, schedule=Schedule(clock, every_s, 0.5), bus=bus, clock=clock, workers=Workers())
    return engine, events


def test_a_captured_state_is_committed_and_said() -> None:
    engine, events = make(sink := Sink())
    assert engine.take("step", HERE, captured)
    engine.close()
    assert [draft.position["text"] for draft in sink.drafts] == ["model 1, step 2"]
    assert [type(event) for event in events] == [SnapshotSaved]


def test_a_commit_says_which_units_it_ends_and_how_old_its_state_is() -> None:
    engine, events = make(sink := Sink())
    sink.gate.clear()
    engine.refuse(HERE, "a thread is in flight", UnitRecord("sweep", "k-0", {}))
    assert engine.take("step", HERE, captured)
    time.sleep(0.05)
    sink.gate.set()
    engine.take("step", HERE, captured)
    engine.close()
    first, second = [event for event in events if isinstance(event, SnapshotSaved)]
    assert (first.units, second.units) == (("k-0",), ())
    assert first.age_s >= 0.05 and first.age_s >= first.write_s


def test_while_the_writer_is_busy_nothing_more_is_due() -> None:
    sink = Sink()
    engine, _ = make(sink)
    sink.gate.clear()
    engine.take("step", HERE, captured)
    assert not engine.due()
    sink.gate.set()
    engine.close()


def test_a_refusal_is_counted_and_shown() -> None:
    engine, events = make(sink := Sink())

    def refuse() -> Captured:
        raise SnapshotRefused("loss holds a live autograd graph")

    assert not engine.take("step", HERE, refuse)
    engine.close()
    assert sink.drafts == []
    assert engine.refusals.counts == {"loss holds a live autograd graph": 1}
    assert isinstance(events[0], SnapshotNotTaken) and not events[0].failed


def test_a_full_disk_is_shown_and_training_goes_on() -> None:
    engine, events = make(sink := Sink(failing=True))
    assert engine.take("unit", HERE, captured)
    sink.failing = False
    assert engine.take("unit", HERE, captured)
    engine.close()
    assert [type(event) for event in events] == [SnapshotNotTaken, SnapshotSaved]
    assert "No space left" in events[0].reason  # type: ignore[attr-defined]


def test_older_commits_that_cannot_be_removed_are_said_once_for_each_reason() -> None:
    engine, events = make(sink := Sink())
    for sink.not_removed in ("", "Read-only", "Read-only", "", "Read-only"):
        engine.take("unit", HERE, captured)
    engine.close()
    assert [event.reason for event in events if isinstance(event, SpaceNotFreed)] == ["Read-only", "Read-only"]


def test_a_unit_whose_commit_could_not_be_written_is_committed_with_the_next_state() -> None:
    engine, _ = make(sink := Sink(failing=True))
    engine.take("unit", HERE, captured, UnitRecord("sweep", "a", {"n": 1}))
    engine.refuse(HERE, "not now", UnitRecord("sweep", "b", {"n": 2}))
    sink.failing = False
    engine.take("step", HERE, captured)
    engine.take("unit", HERE, captured, UnitRecord("sweep", "c", {"n": 3}))
    engine.close()
    assert [draft.unit and draft.unit["key"] for draft in sink.drafts] == ["a", "b", None, "c"]


def test_a_stop_is_raised_only_once_the_state_is_saved() -> None:
    engine, _ = make(sink := Sink(), every_s=3600)
    engine.request_stop("magic")
    assert engine.due()
    with pytest.raises(Leaving, match="saved at model 1, step 2"):
        engine.take("step", HERE, captured)
    assert len(sink.drafts) == 1
    engine.close()


def test_a_unit_whose_end_was_refused_is_committed_with_the_next_state() -> None:
    engine, _ = make(sink := Sink())

    def refuse() -> Captured:
        raise SnapshotRefused("not whole")

    engine.take("unit", HERE, refuse, UnitRecord("sweep", "a", {"n": 1}))
    engine.take("unit", HERE, captured, UnitRecord("sweep", "b", {"n": 2}))
    engine.close()
    assert [draft.unit and draft.unit["key"] for draft in sink.drafts] == ["a", "b"]


def test_a_unit_whose_end_could_not_be_looked_at_is_committed_at_the_next_safe_point() -> None:
    engine, _ = make(sink := Sink())
    engine.refuse(HERE, "called by a library", UnitRecord("sweep", "run-1", {"loss": 0.5}))
    assert engine.take("step", HERE, captured)
    engine.close()
    assert [draft.unit and draft.unit["key"] for draft in sink.drafts] == ["run-1", None]


def test_after_a_stop_nothing_more_is_committed_whatever_code_runs_on() -> None:
    engine, _ = make(sink := Sink(), every_s=3600)
    engine.request_stop("interrupt")
    for kind in ("step", "unit", "cell"):  # the first is swallowed by code that catches everything, and so on
        assert engine.due()
        with pytest.raises(Leaving, match="saved at model 1, step 2"):
            engine.take(kind, HERE, captured)
    engine.close()
    assert len(sink.drafts) == 1


def test_a_stop_after_the_unit_lets_its_steps_go_on_and_is_raised_at_its_end() -> None:
    engine, _ = make(sink := Sink())
    engine.request_stop_after_unit("panel")
    assert engine.take("step", HERE, captured)
    with pytest.raises(Leaving, match="saved at model 1, step 2"):
        engine.take("unit", HERE, captured, UnitRecord("sweep", "a", {"n": 1}))
    engine.close()
    assert [draft.kind for draft in sink.drafts] == ["step", "unit"]


def test_a_stop_after_a_unit_whose_end_was_refused_comes_at_the_next_safe_point() -> None:
    engine, _ = make(sink := Sink(), every_s=3600)
    engine.request_stop_after_unit("panel")
    engine.refuse(HERE, "called by a library", UnitRecord("sweep", "a", {"n": 1}))
    assert engine.due()
    with pytest.raises(Leaving):
        engine.take("step", HERE, captured)
    engine.close()
    assert [draft.unit and draft.unit["key"] for draft in sink.drafts] == ["a", None]


def test_a_stop_after_the_unit_that_is_taken_back_does_not_happen() -> None:
    engine, _ = make(Sink(), every_s=3600)
    engine.request_stop_after_unit("panel")
    engine.take_back_stop()
    assert engine.take("unit", HERE, captured, UnitRecord("sweep", "a", {"n": 1}))
    engine.close()


def test_a_stop_that_is_taken_back_does_not_happen() -> None:
    engine, _ = make(Sink(), every_s=3600)
    engine.request_stop("interrupt")
    engine.take_back_stop()
    assert not engine.due()
    assert engine.take("step", HERE, captured)
    engine.close()


def test_safe_points_refused_again_and_again_are_hopeless_until_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "HOPELESS_S", 0.0)
    engine, _ = make(Sink())

    def refuse() -> Captured:
        raise SnapshotRefused("loss has an unspent graph")

    for _ in range(refusals.HOPELESS_TIMES):
        assert engine.hopeless is None
        engine.take("step", HERE, refuse)
    assert engine.hopeless is not None and "unspent graph" in engine.hopeless
    assert engine.take("step", HERE, captured)
    assert engine.hopeless is None and engine.refused_last is None
    engine.close()


def test_an_error_of_any_kind_in_a_reducer_fails_the_snapshot_and_not_the_training() -> None:
    engine, events = make(Sink())

    def fail() -> Captured:
        raise KeyError("a reducer's bug")

    assert not engine.take("step", HERE, fail)
    engine.close()
    assert [type(event) for event in events] == [SnapshotNotTaken]
