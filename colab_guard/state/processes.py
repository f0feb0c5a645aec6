"""Pools of multiprocessing, their results, and processes: kept where nothing of theirs runs at the moment.

A pool without work comes back at rest: its processes start when it is first used, from the notebook as it is then.
"""

from __future__ import annotations

import copyreg
import multiprocessing
import os
import queue
import threading
from typing import TYPE_CHECKING, Any

from colab_guard.state import instances, things
from colab_guard.state.pools import IN_FLIGHT

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

RUNNING = "RUN"
TERMINATED = "TERMINATE"
_WORDS = ("processes", "initializer", "initargs", "maxtasksperchild")
_AT_REST = ("_worker_handler", "_task_handler", "_result_handler", "_change_notifier", "_terminate")
_PIPES = ("_inqueue", "_outqueue", "_quick_put", "_quick_get")
_OF_THE_POOL = {*(f"_{word}" for word in _WORDS), *_AT_REST, *_PIPES, "_pool", "_state", "_ctx", "_cache", "_taskqueue", "_check_running"}
_OF_THE_RESULT = ("_pool", "_cache", "_event")
_OF_THE_PROCESS = ("_popen", "_config", "_parent_pid", "_sentinel")


class AtRest:
    """In the place of a pool's threads, pipes and finalizer: there is nobody to wait for, to tell or to end."""

    _state = RUNNING

    def join(self) -> None:
        pass

    def put(self, item: Any) -> None:
        pass

    def __call__(self) -> None:
        pass


class Exited:
    """In the place of the handle of a process that has ended."""

    def __init__(self, pid: int, returncode: int) -> None:
        self.pid, self.returncode = pid, returncode

    def poll(self) -> int:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        return self.returncode

    def close(self) -> None:
        pass


def reduce_pool(pickler: GraphPickler, pool: Any) -> Any:
    if pool._cache and pool._state != TERMINATED:
        raise things.CannotKeep(IN_FLIGHT)
    words = {word: getattr(pool, f"_{word}") for word in _WORDS}
    own = {name: value for name, value in vars(pool).items() if name not in _OF_THE_POOL}
    return copyreg.__newobj__, (type(pool),), (pool._state, pool._ctx.get_start_method(), words, own), None, None, fill_pool  # type: ignore[attr-defined]


def fill_pool(pool: Any, state: tuple[str, str, dict[str, Any], dict[str, Any]]) -> None:
    how, start, words, own = state
    rest, context = AtRest(), multiprocessing.get_context(start)
    vars(pool).update({**own, **{f"_{word}": value for word, value in words.items()}, **dict.fromkeys(_AT_REST, rest)})
    pool._state, pool._ctx, pool._pool, pool._cache, pool._taskqueue = how, context, [], {}, queue.SimpleQueue()
    if how == RUNNING:

        def begin() -> None:
            """What every method that takes work asks first."""
            from multiprocessing.pool import Pool

            del pool._check_running
            if pool._state == RUNNING:
                Pool.__init__(pool, **words, context=context)
            pool._check_running()

        pool._check_running = begin


def reduce_result(pickler: GraphPickler, result: Any) -> Any:
    """What `apply_async` and `map_async` gave."""
    if not result.ready():
        raise things.CannotKeep(IN_FLIGHT)
    own = {name: value for name, value in vars(result).items() if name not in _OF_THE_RESULT}
    return copyreg.__newobj__, (type(result),), own, None, None, fill_result  # type: ignore[attr-defined]


def fill_result(result: Any, own: dict[str, Any]) -> None:
    vars(result).update(own, _pool=None, _cache={}, _event=threading.Event())
    result._event.set()


def reduce_process(pickler: GraphPickler, process: Any) -> Any:
    handle = vars(process).get("_popen")
    if handle is None or process._parent_pid != os.getpid() or handle.poll() is None:
        return things.refuse_always(pickler, process)
    own = {name: value for name, value in vars(process).items() if name not in _OF_THE_PROCESS}
    ended = (own, handle.pid, handle.returncode)
    return copyreg.__newobj__, (type(process),), ended, None, None, fill_process  # type: ignore[attr-defined]


def fill_process(process: Any, state: tuple[dict[str, Any], int, int]) -> None:
    own, pid, returncode = state
    here = multiprocessing.current_process()
    vars(process).update(own, _popen=Exited(pid, returncode), _config=dict(vars(here)["_config"]), _parent_pid=os.getpid(), _sentinel=-1)


def reduce_popen(pickler: GraphPickler, process: Any) -> Any:
    """One that has been waited for is its attributes; it is not looked at here, since that would count as waiting."""
    if process.returncode is None:
        return things.refuse_always(pickler, process)
    usual = instances.reducer_for(type(process))
    return NotImplemented if usual is None else usual(pickler, process)
