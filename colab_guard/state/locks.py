"""Locks, held as they were: what code to come releases must have been acquired.

A lock does not know who holds it; a re-entrant one does. What another thread holds is free after a resume, since that
thread does not run then: of a lock that may be any which runs the notebook's functions. Semaphores, conditions, events and
barriers consist of locks and numbers.
"""

from __future__ import annotations

import re
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any

from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

HELD = re.compile(r"owner=(\d+) count=(\d+)")
"""In what Python writes of a re-entrant lock, the only place that tells both."""


def reduce_lock(pickler: GraphPickler, lock: Any) -> Any:
    return rebuild_lock, (lock.locked() and not _others_run(pickler.live.namespace),)


def _others_run(namespace: dict[str, Any]) -> bool:
    """Whether another thread runs code of the notebook."""
    here = {threading.get_ident(), threading.main_thread().ident}
    for thread, innermost in sys._current_frames().items():
        frame: FrameType | None = innermost if thread not in here else None
        while frame is not None:
            if frame.f_globals is namespace:
                return True
            frame = frame.f_back
    return False


def rebuild_lock(held: bool) -> Any:
    lock = threading.Lock()
    if held:
        lock.acquire()
    return lock


def reduce_reentrant_lock(pickler: GraphPickler, lock: Any) -> Any:
    told = HELD.search(repr(lock))
    owner, count = map(int, told.groups()) if told is not None else (0, 0)
    if not count or owner not in (threading.main_thread().ident, threading.get_ident()):
        return rebuild_reentrant_lock, (0,)
    if owner != threading.main_thread().ident:
        raise CannotKeep("it is held by a cell that awaits, whose thread will be another one")
    return rebuild_reentrant_lock, (count,)


def rebuild_reentrant_lock(count: int) -> Any:
    lock = threading.RLock()
    for _ in range(count):
        lock.acquire()
    return lock
