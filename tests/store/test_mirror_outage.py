"""A mirror that fails or hangs for minutes, and what it costs; its schedule, its speed and its lag."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from colab_guard.clock import FakeClock
from colab_guard.events import Event, EventBus, MirrorChanged, SnapshotDurable
from colab_guard.store import FolderPlace, Mirror, Store, Traits
from colab_guard.store.faults import Faults, FaultyPlace
from colab_guard.store.mirror import calls
from colab_guard.store.mirror.schedule import pause_s
from colab_guard.store.mirror.status import speed
from colab_guard.workers import Workers
from tests.store.test_store import ME, draft

MINUTE = 60.0
STEP_S = 5.0
EVERY_S = MINUTE


def settled(clock: FakeClock, seconds: float) -> None:
    """Let time pass a few seconds at a time, so that whoever waits comes to act."""
    for _ in range(int(seconds / STEP_S)):
        clock.advance(STEP_S)
        time.sleep(0.04)


@pytest.mark.parametrize("fault", ["fails", "hangs"])
def test_after_ten_minutes_the_newest_commit_is_durable_within_one_interval(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "CALL_LIMIT_S", 0.2)
    clock, faults, events = FakeClock(), Faults(), list[Event]()
    bus, workers = EventBus(synchronous=True), Workers()
    bus.subscribe(lambda event, at: events.append(event))
    place = FaultyPlace(FolderPlace(tmp_path / "far"), faults, proof="proved")
    store = Store.open(tmp_path / "local", ME, clock=clock)
    mirror = Mirror(store, place, workers=workers, bus=bus, clock=clock, every_s=EVERY_S)
    faults.fail("*", errno.EIO) if fault == "fails" else faults.hang("*")
    newest = ""
    for minute in range(10):
        newest = store.commit(draft(f"minute {minute}", b"x" * 1000)).id
        mirror.nudge()
        settled(clock, MINUTE)
    assert not any(isinstance(event, SnapshotDurable) for event in events)
    assert mirror.status.state == "degraded" and (mirror.status.lag_s or 0) > 8 * MINUTE
    assert any(isinstance(event, MirrorChanged) and event.state == "degraded" for event in events)
    faults.heal()
    settled(clock, EVERY_S)
    durable = [event.commit for event in events if isinstance(event, SnapshotDurable)]
    assert durable == [newest] and mirror.status.state == "ok"
    mirror.close(5)
    store.close()
    workers.stop()


def test_commits_do_not_wait_for_a_mirror_that_hangs(tmp_path: Path) -> None:
    faults, workers = Faults(), Workers()
    store = Store.open(tmp_path / "local", ME)
    mirror = Mirror(store, FaultyPlace(FolderPlace(tmp_path / "far"), faults), workers=workers, every_s=0.01)
    faults.hang("*")
    for number in range(20):
        store.commit(draft(f"step {number}", b"x" * 1000))
        mirror.nudge()
    assert faults.hanging <= 2 and not mirror.flush(0.2), "at most one call of the mirror and one sign of life wait"
    faults.heal()
    assert mirror.flush(20)
    mirror.close(5)
    workers.stop()


def test_at_most_a_quarter_of_the_time_is_spent_sending() -> None:
    assert pause_s(Traits(), spent_s=10.0, sent=10**9, free=None) == pytest.approx(30.0)


@pytest.mark.parametrize(("free", "an_hour"), [(12 * 10**9, 10**9), (None, 2**30)])
def test_where_deleted_files_count_the_bytes_of_an_hour_are_bounded(free: int | None, an_hour: int) -> None:
    traits = Traits(keeps_deleted=True)
    assert pause_s(traits, 1.0, an_hour // 2, free) == pytest.approx(1800.0, rel=1e-6)
    assert pause_s(traits, 1.0, 0, free) == pytest.approx(3.0)


def test_the_speed_is_measured_on_what_is_large_enough_and_smoothed() -> None:
    first = speed(None, 10**6, 1.0)
    assert first == 10**6 and speed(first, 100, 5.0) == first
    assert speed(first, 2 * 10**6, 1.0) == pytest.approx(1.3 * 10**6)
