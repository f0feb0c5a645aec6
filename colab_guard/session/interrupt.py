"""The interrupt button while a guarded cell runs: once = finish the step, commit, stop; twice = now.

The first press asks for a stop at the next safe point, where one lies ahead; where none does (`input()`, a loop of a
library without an adapter, a statement outside all loops, snapshots that are refused again and again), it interrupts as it would
without us. The second press interrupts at once, takes the wish to stop back, and is a `KeyboardInterrupt` like any other:
code that catches it goes on, and the next press is a first one again.

The handler runs between two instructions of the user's code, perhaps in the middle of a print: it only sets flags and
puts a word into a queue that is made for that (`SimpleQueue.put` is re-entrant). A thread reads it, tells the user, and
tells again when no safe point has come after `PATIENCE_S`. No timer of the process (`setitimer`) is used: it would
break into calls of the user's code.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from colab_guard.events import EventBus, StopRequested
from colab_guard.session.notes import Notes
from colab_guard.snapshots import Engine
from colab_guard.workers import Workers

PATIENCE_S = 10.0
FIRST = "Finishing the step, then saving and stopping. To stop at once, interrupt again."

NoneAhead = Callable[[FrameType | None], "str | None"]
"""Why no safe point lies ahead of a frame, or None where one does."""


class Interrupts:
    """Installs the handler on entry and puts the old one back on exit; does nothing outside the main thread."""

    def __init__(self, engine: Engine, none_ahead: NoneAhead, *, notes: Notes, workers: Workers, bus: EventBus) -> None:
        self._engine = engine
        self._none_ahead = none_ahead
        self._notes = notes
        self._workers = workers
        self._bus = bus
        self._before: Any = None
        self._installed = False
        self._asked = False
        self._pid = os.getpid()
        self._presses: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._worker = self._workers.start("interrupts", self._tell)
            self._before = signal.signal(signal.SIGINT, self._on_interrupt)
            self._installed = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._before if self._before is not None else signal.default_int_handler)
            self._presses.put("end")
            self._workers.stop_one(self._worker)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True  # the traceback ends where the user's code was
        if os.getpid() != self._pid:
            # a forked child (a DataLoader's worker) hears every press too: the step that is to be finished needs it
            if self._asked:
                raise KeyboardInterrupt
            self._asked = True
            return
        if self._asked:
            self._asked = False
            self._engine.take_back_stop()
            self._presses.put("second")
            raise KeyboardInterrupt(f"stopped at once; {self._saved()}")
        why = self._none_ahead(frame) or self._engine.hopeless
        if why is not None:
            raise KeyboardInterrupt(f"stopped at once, as {why}; {self._saved()}")
        self._asked = True
        self._engine.request_stop("interrupt")
        self._presses.put("first")

    def _saved(self) -> str:
        saved = self._engine.saved
        if saved is None:
            return "nothing was saved since the cell began to run, and what had been saved before stays"
        return f"what was saved at {saved.position['text']} stays"

    # the thread

    def _tell(self, stopping: threading.Event) -> None:
        word = self._presses.get()
        while word != "end":
            if word == "first":
                self._bus.post(StopRequested(name=self._engine.name, by="interrupt"))
                self._notes.say(FIRST)
                try:
                    word = self._presses.get(timeout=PATIENCE_S)
                    continue
                except queue.Empty:
                    self._notes.say(self._patience())
            word = self._presses.get()

    def _patience(self) -> str:
        refused = self._engine.refused_last
        why = f"it could not be saved so far: {refused}" if refused else "no safe point has come yet"
        return f"Still in the step after {PATIENCE_S:g} s ({why}). To stop at once, interrupt again; {self._saved()}."
