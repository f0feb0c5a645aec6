"""Ending guarded work at the last moment: `HostMemoryPressure` in the main thread, where the notebook's code runs.

The sentinel sends a signal; its handler runs between two instructions of the main thread, whatever other threads do, and
decides there. So nothing can come late: the handler is in force for the time of the work alone. It raises nothing while
code of ours captures, restores or commits: the sentinel signals again at its next look, and for as long as it has to.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from colab_guard.errors import HostMemoryPressure
from colab_guard.memory.sentinel import SIGNAL

OURS = tuple(f"colab_guard.{part}" for part in ("snapshots", "state", "store", "session", "sweep", "memory.reclaim", "memory.guard"))
"""Code that is left alone, with what it calls. All other code of ours only while it runs itself: what it calls trains."""
CELL = ("colab_guard.cells.execute", "_execute")
"""The frame that runs a guarded cell: what is below it is the session's, and waits for the cell."""
ENDING = ("colab_guard.cells.inthread", "_end")
"""A cell that awaits is being ended already."""
GRACE_S = 2.0
"""To code that has caught the error: time to let go of memory before it is raised once more."""
GROWN = 0.01
"""Of the limit; unless memory has grown by so much since."""

Read = Callable[[], tuple[int, int]]
"""Gives bytes in use and the limit."""


class Stopper:
    """Between `begin` and `end` (both in the main thread) SIGNAL raises, if memory is at `from_share` of its limit or above."""

    def __init__(self, read: Read, words: Callable[[int, int], str]) -> None:
        self._read = read
        self._words = words
        self._pid = os.getpid()
        self._before: Any = None
        self._from_share = 1.0
        self._raised: tuple[float, int] | None = None
        self.armed = False

    def begin(self, from_share: float) -> bool:
        """Whether work in this thread can be ended so."""
        if threading.current_thread() is not threading.main_thread() or signal.getsignal(SIGNAL) is None:
            return False
        self._from_share = from_share
        self._raised = None
        if not self.armed:
            self._before = signal.signal(SIGNAL, self._on_signal)
            self.armed = True
        return True

    def end(self) -> None:
        """From here on nothing is raised."""
        if not self.armed or threading.current_thread() is not threading.main_thread():
            return
        self.armed = False
        if signal.getsignal(SIGNAL) == self._on_signal:
            signal.signal(SIGNAL, self._before)

    def press(self) -> None:
        """What the sentinel does, from within this process."""
        if self.armed:
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True  # the traceback ends where the user's code was
        if not self.armed or os.getpid() != self._pid or is_ours(frame):
            return
        used, limit = self._read()
        if used < self._from_share * limit:
            if callable(self._before):
                self._before(number, frame)
            return  # somebody else's signal, or memory has become free meanwhile
        if self._raised is not None:
            since, at = self._raised
            if time.monotonic() - since < GRACE_S and used < at + GROWN * limit:
                return
        self._raised = (time.monotonic(), used)
        raise HostMemoryPressure(self._words(used, limit))


def is_ours(frame: FrameType | None) -> bool:
    """Whether `frame` is code of ours that is not to be interrupted, or was called by such code."""
    innermost = True
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith("colab_guard."):
            if (name, frame.f_code.co_name) == CELL:
                return False
            if innermost or name.startswith(OURS) or (name, frame.f_code.co_name) == ENDING:
                return True
        innermost = False
        frame = frame.f_back
    return False
