"""Pools of multiprocessing, their results and ended processes come back where nothing of theirs runs."""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from colab_guard.errors import SnapshotRefused
from tests.state.snapshot import there_and_back

FORK = multiprocessing.get_context("fork")


def double(n: int) -> int:
    return 2 * n


def fail(n: int) -> int:
    raise ValueError(n)


@pytest.fixture(params=["processes", "threads"])
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return FORK.Pool if request.param == "processes" else multiprocessing.pool.ThreadPool


def test_a_pool_without_work_starts_again_when_it_is_used(make: Callable[..., Any]) -> None:
    with make(2) as pool:
        assert pool.map(double, range(4)) == [0, 2, 4, 6]
        back = there_and_back(pool=pool, again=[pool])
        assert back["again"][0] is back["pool"] and type(back["pool"]) is type(pool)
        assert not back["pool"]._pool, "nothing runs before it is used"
        twice = there_and_back(pool=back["pool"])["pool"]
    for other in (back["pool"], twice):
        with other:
            assert other.map(double, range(3)) == [0, 2, 4]
            assert list(other.imap(double, range(3))) == [0, 2, 4] and len(other._pool) == 2


def test_its_initializer_runs_in_the_workers_that_are_made_anew() -> None:
    begun: list[int] = []
    with multiprocessing.pool.ThreadPool(1, begun.append, (7,)) as pool:
        pool.map(double, [1])
        back = there_and_back(pool=pool, begun=begun)
    assert back["begun"] == [7]
    with back["pool"] as again:
        assert again.map(double, [1]) == [2]
    assert back["begun"] == [7, 7]


@pytest.mark.parametrize("used", [False, True])
def test_a_pool_that_is_over_stays_over(make: Callable[..., Any], used: bool) -> None:
    with make(1) as pool:
        if used:
            pool.map(double, [1])
    back = there_and_back(pool=pool)["pool"]
    with pytest.raises(ValueError, match="not running"):
        back.map(double, [1])
    back.join()
    closed = make(1)
    closed.close()
    back = there_and_back(pool=closed)["pool"]
    with pytest.raises(ValueError, match="not running"):
        back.apply(double, (1,))
    back.join()
    closed.join()


def test_a_pool_that_came_back_is_closed_or_ended_without_having_been_used(make: Callable[..., Any]) -> None:
    with make(1) as pool:
        first, second = there_and_back(pool=pool)["pool"], there_and_back(pool=pool)["pool"]
    first.close()
    first.join()
    with pytest.raises(ValueError, match="not running"):
        first.map(double, [1])
    with second:
        pass
    second.join()


def test_results_that_have_come_stay_and_work_in_flight_is_refused(make: Callable[..., Any]) -> None:
    with make(1) as pool:
        results = [pool.apply_async(double, (4,)), pool.map_async(double, [1, 2]), pool.apply_async(fail, (3,))]
        for result in results:
            result.wait()
        good, many, bad = there_and_back(results=results)["results"]
        assert (good.get(), many.get()) == (8, [2, 4]) and not bad.successful()
        with pytest.raises(ValueError, match="3"):
            bad.get()
        pending = pool.apply_async(time.sleep, (0.5,))
        for thing in (pool, pending):
            with pytest.raises(SnapshotRefused, match=r"^thing .*work in flight"):
                there_and_back(thing=thing)
        pending.wait()


def test_a_process_that_has_ended_is_that() -> None:
    process = FORK.Process(target=sys.exit, args=(3,), name="child")
    with pytest.raises(SnapshotRefused, match=r"^process .*a running process"):
        there_and_back(process=process)
    process.start()
    process.join()
    back = there_and_back(process=process, twice=there_and_back(process=process)["process"])
    for found in back.values():
        found.join()
        assert (found.exitcode, found.name, found.pid, found.is_alive()) == (3, "child", process.pid, False)
        found.close()


def test_a_command_that_has_been_waited_for_is_that() -> None:
    command = subprocess.Popen([sys.executable, "-c", "import time; print('said'); time.sleep(0.3)"], stdout=subprocess.PIPE)
    with pytest.raises(SnapshotRefused, match=r"^command .*a running process"):
        there_and_back(command=command)
    command.wait()
    with pytest.raises(SnapshotRefused, match=r"^command.stdout"):
        there_and_back(command=command)
    text = command.communicate()[0]
    back = there_and_back(command=command)["command"]
    assert text == b"said\n" and back.stdout.closed and back.stdout.name == command.stdout.name
    assert (back.returncode, back.poll(), back.args, back.pid) == (0, 0, command.args, command.pid)
