"""Memory is short: what is not written is committed first, and only then copies are let go; a copy is never the last straw."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from colab_guard import state
from colab_guard.errors import SnapshotRefused
from colab_guard.state.staging import Staging
from tests.snapshots.test_engine import HERE, Sink, captured, make

MIB = 2**20


def test_room_is_made_after_the_commit_is_written() -> None:
    engine, _ = make(sink := Sink(), every_s=3600.0)
    drafts_at: list[int] = []
    engine.on_shed.append(lambda: drafts_at.append(len(sink.drafts)))
    assert not engine.due()
    engine.request_room()
    assert engine.due()
    assert engine.take("step", HERE, captured)
    assert drafts_at == [1]
    assert not engine.due()
    engine.close()


def test_where_the_snapshot_is_refused_room_is_made_all_the_same_and_the_next_safe_point_is_tried() -> None:
    engine, _ = make(sink := Sink(), every_s=3600.0)
    shed: list[str] = []
    engine.on_shed.append(lambda: shed.append("shed"))
    engine.request_room()

    def refuse() -> Any:
        raise SnapshotRefused("not whole")

    assert not engine.take("step", HERE, refuse)
    assert shed == ["shed"] and engine.due()
    assert engine.take("step", HERE, captured)
    engine.wait()
    assert shed == ["shed"] and len(sink.drafts) == 1
    engine.close()
    assert shed == ["shed", "shed"], "work that has ended keeps no copies"


def test_a_copy_that_does_not_fit_is_not_made_and_what_was_copied_before_holds() -> None:
    staging = Staging()
    staging.room = lambda: 20 * MIB
    first = staging.slots([("cpu", 1, 16 * MIB)])
    with pytest.raises(SnapshotRefused, match="24 MiB for a copy of the state are not free: 20 MiB are left"):
        staging.slots([("cpu", 1, 16 * MIB), ("cpu", 2, 24 * MIB)])
    staging.room = lambda: 0
    assert staging.slots([("cpu", 1, 16 * MIB)]) == first, "memory that is there already is asked for by nobody"
    staging.shed()
    assert staging.nbytes == 0


def test_a_pickle_as_large_as_the_last_one_needs_its_room_too() -> None:
    split = state.Split()
    live = state.Live({}, {})
    names = {"names": {"words": ["word " * 50 + str(number) for number in range(100_000)]}}
    state.capture(names, {}, live, split)
    assert split.pickled > 20 * MIB
    split.staging.room = lambda: 10 * MIB
    with pytest.raises(SnapshotRefused, match="10 MiB are left"):
        state.capture(names, {}, live, split)


def test_nobody_is_asked_for_little() -> None:
    staging = Staging()
    staging.room = SimpleNamespace()  # type: ignore[assignment]
    assert len(staging.slots([("cpu", 1, 1024)])) == 1


def test_after_a_refusal_for_want_of_room_slots_that_are_not_needed_go() -> None:
    staging = Staging()
    staging.slots([("cpu", 1, 12 * MIB)])
    staging.room = lambda: 0
    with pytest.raises(SnapshotRefused):
        staging.slots([("cpu", 1, 12 * MIB), ("cpu", 2, 9 * MIB)])
    assert staging.slots([]) == [] and staging.nbytes == 0
