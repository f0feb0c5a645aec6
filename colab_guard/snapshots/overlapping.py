"""The snapshot whose memory is still being copied: from its safe point to the next step of any optimizer.

A copier thread copies; a hook of torch's, which runs before each optimizer's step, joins it in the thread that trains
and looks whether anything was written to meanwhile. Only then is the snapshot given on to be committed.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from colab_guard.state import Overlap
from colab_guard.workers import Worker, Workers

Done = Callable[[tuple[str, ...], float, float], None]
"""Told what was written to meanwhile, how long the join took, and the processor time of the copier; twice, if interrupted."""


@dataclass(frozen=True, slots=True)
class _Held:
    overlap: Overlap
    done: Done
    thread: int
    """The one that trains, in which the snapshot was taken."""


class Overlapping:
    """At most one snapshot. `begin` takes it in; `finish` ends it, by itself before an optimizer steps."""

    def __init__(self, workers: Workers, now: Callable[[], float]) -> None:
        self._workers = workers
        self._now = now
        self._held: _Held | None = None
        self._lock = threading.RLock()
        self._copies: queue.SimpleQueue[Overlap | None] = queue.SimpleQueue()
        self._copier: Worker | None = None
        self._hook: Any = None

    @property
    def held(self) -> bool:
        return self._held is not None

    def begin(self, overlap: Overlap, done: Done) -> None:
        """Let the copies be made; `done` is called when they were."""
        if self._hook is None:
            self._hook = sys.modules["torch.optim.optimizer"].register_optimizer_step_pre_hook(self._before_step)
            self._copier = self._workers.start("copier", self._copy)
        self._held = _Held(overlap, done, threading.get_ident())
        self._copies.put(overlap)

    def look(self) -> None:
        """At a safe point: give the snapshot on if its copies are made. Other threads than its own are not asked."""
        held = self._held
        if held is not None and held.overlap.copied and held.thread == threading.get_ident():
            self.finish()

    def finish(self) -> None:
        """Join the snapshot that is held, if there is one, and give it on. In the thread that trains, or after its end."""
        if self._held is None or self._workers.disarmed:
            return
        with self._lock:
            held = self._held
            if held is None:
                return
            began = self._now()
            failed = held.overlap.join()
            what = tuple(copy.label or f"memory of {copy.slot.nbytes:,} bytes" for copy in failed)
            held.done(what, self._now() - began, held.overlap.beside_s)
            self._held = None  # not before: interrupted, it is given on once more

    def close(self) -> None:
        """No snapshot is held any more: end the copier."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        if self._copier is not None:
            self._copies.put(None)
            self._workers.stop_one(self._copier)
            self._copier = None

    def _before_step(self, optimizer: Any, *arguments: Any) -> None:
        held = self._held
        if held is None or self._workers.disarmed:
            return
        if held.thread == threading.get_ident():
            self.finish()
            return
        with self._lock:  # what the other thread is writing just now no version tells
            if self._held is held:
                self._held = None
                held.overlap.abandon()
                held.done(("what another thread's optimizer may step on",), 0.0, 0.0)

    def _copy(self, stopping: threading.Event) -> None:
        while (overlap := self._copies.get()) is not None:
            began = time.thread_time()
            try:
                overlap.work_beside()
            finally:
                overlap.beside_s = time.thread_time() - began
                del overlap  # nothing of ours or the user's is held while there is nothing to do
