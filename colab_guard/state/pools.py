"""Futures that are done and executors without work: they hold no thread of importance, and come back as they are.

Work in flight cannot be kept; it is refused, and the next safe point tried.
"""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

IN_FLIGHT = "work in flight cannot be kept"


def reduce_future(pickler: GraphPickler, future: Any) -> Any:
    if not future.done():
        raise CannotKeep(IN_FLIGHT)
    return type(future), (), _outcome(future), None, None, fill_future


def _outcome(future: Any) -> tuple[str, Any]:
    if future.cancelled():
        return "cancelled", None
    error = future.exception()
    return ("result", future.result()) if error is None else ("error", error)


def fill_future(future: Any, state: tuple[str, Any]) -> None:
    how, what = state
    if how == "cancelled":
        future.cancel()
    elif how == "error":
        future.set_exception(what)
    else:
        future.set_result(what)


def reduce_thread_pool(pickler: GraphPickler, pool: Any) -> Any:
    alive = [thread for thread in pool._threads if thread.is_alive()]
    over = pool._shutdown and not alive
    if not over and (not pool._work_queue.empty() or pool._idle_semaphore._value < len(alive)):
        raise CannotKeep(IN_FLIGHT)
    words = {"max_workers": pool._max_workers, "thread_name_prefix": pool._thread_name_prefix}
    return make_pool, (type(pool), words), (pool._shutdown, pool._initializer, pool._initargs), None, None, fill_pool


def reduce_process_pool(pickler: GraphPickler, pool: Any) -> Any:
    over = bool(pool._shutdown_thread)
    if not over and pool._pending_work_items:
        raise CannotKeep(IN_FLIGHT)
    words = {"max_workers": pool._max_workers, "start": pool._mp_context.get_start_method()}
    return make_pool, (type(pool), words), (over, pool._initializer, pool._initargs), None, None, fill_pool


def make_pool(kind: Any, words: dict[str, Any]) -> Any:
    start = words.pop("start", None)
    return kind(**words, **({} if start is None else {"mp_context": multiprocessing.get_context(start)}))


def fill_pool(pool: Any, state: tuple[bool, Any, tuple[Any, ...]]) -> None:
    over, pool._initializer, pool._initargs = state
    if over:
        pool.shutdown(wait=False)
