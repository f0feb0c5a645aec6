"""When the process that watches memory is there, and when it is not any more."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from colab_guard.clock import SystemClock
from colab_guard.events import EventBus
from colab_guard.memory import MemoryGuard, SystemProbe
from colab_guard.workers import Workers

WITHIN_S = 60
OTHERS: set[psutil.Process] = set()
"""Children of this process that earlier tests have left: workers of data loaders, which live as long as these."""


@pytest.fixture
def guard(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryGuard]:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path))
    clock = SystemClock()
    made = MemoryGuard(bus=EventBus(synchronous=True), clock=clock, workers=Workers(clock), probe=SystemProbe())
    if not made._can_watch():
        pytest.skip("no process can watch on this system")
    OTHERS.update(psutil.Process().children())
    yield made
    made.close()


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def sentinels() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child not in OTHERS and child.status() != psutil.STATUS_ZOMBIE]


def watched(guard: MemoryGuard) -> psutil.Process:
    until(lambda: guard._watcher is not None)
    assert guard._watcher is not None
    return psutil.Process(guard._watcher.pid)


def test_off_ends_it_and_the_thread_that_listens(guard: MemoryGuard) -> None:
    guard.on(0.85)
    process = watched(guard)
    guard.off()
    assert not process.is_running() and not sentinels() and guard._worker is None and guard._watcher is None


def test_off_before_it_has_come_up_leaves_none(guard: MemoryGuard) -> None:
    for _ in range(5):
        guard.on(0.85)
        guard.off()
    assert not sentinels() and guard._worker is None


def test_off_while_work_runs_keeps_the_black_box_until_the_work_has_ended(guard: MemoryGuard) -> None:
    guard.on(0.85)
    process = watched(guard)
    guard.work_started("training")
    guard.off()
    assert process.is_running()
    guard.work_ended()
    assert not process.is_running() and not sentinels()


def test_off_and_on_again_gives_a_new_one_that_stays(guard: MemoryGuard) -> None:
    guard.on(0.85)
    first = watched(guard)
    guard.off()
    guard.on(0.8)
    second = watched(guard)
    assert second.pid != first.pid and second.is_running() and [child.pid for child in sentinels()] == [second.pid]
    guard.work_started("training")
    guard.work_ended()
    assert second.is_running(), "the limit is in force"


def test_work_without_a_limit_leaves_it_to_tell_how_the_kernel_ended(guard: MemoryGuard) -> None:
    guard.work_started("training")
    process = watched(guard)
    guard.work_ended()
    assert process.is_running()


def test_one_that_is_slow_to_go_takes_nothing_away_from_the_next(guard: MemoryGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    guard.on(0.85)
    watched(guard)
    old = guard._worker
    assert old is not None
    slow = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own = guard._heard

    def heard(said: dict[str, object]) -> None:
        own(said)
        if slow.poll() is None and old.stopping.is_set():
            slow.wait()  # as an act on pressure that takes its time

    monkeypatch.setattr(guard, "_heard", heard)
    monkeypatch.setattr(guard._workers, "stop_one", lambda worker, deadline_s=0.0: worker.stopping.set())
    guard.off()
    guard.on(0.85)
    second = guard._watcher
    assert second is not None or watched(guard)
    second = guard._watcher
    assert slow.stdin is not None
    slow.communicate(b"\n")
    until(lambda: not old.thread.is_alive())
    assert guard._watcher is second
    monkeypatch.undo()
