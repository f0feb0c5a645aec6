"""The writer: a thread that commits one captured state after another, behind everything else that wants to run.

One state is on its way at a time. `hold` takes it in, `put` says that it is whole (its memory is copied), and `wait`
returns when it is in the store or could not be written. An interrupt between the two loses nothing that is whole.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from colab_guard.snapshots.units import UnitRecord
from colab_guard.store import CommitDraft, CommitRecord
from colab_guard.workers import Workers

LOWEST_PRIORITY = 19
LOOK_S = 0.5
"""How often whoever waits looks whether the writer still lives."""


class Sink(Protocol):
    """What is needed of a store. `not_removed`: why older commits could not be removed after the last one, or ""."""

    @property
    def not_removed(self) -> str: ...

    def commit(self, draft: CommitDraft) -> CommitRecord: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One captured state on its way to the store: a draft, or one for each unit that it ends."""

    drafts: tuple[CommitDraft, ...]
    stall_s: float
    captured: float
    """When its state was as it is, by the monotonic clock."""
    owed: tuple[UnitRecord, ...] = ()
    """The units that it ends, in the order of their drafts."""
    cpu_s: float = 0.0
    """Processor time that was spent on it beside training."""
    ready: bool = True
    """False while its memory is still being copied."""
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: its last record, or the error; how many of its drafts are written, and what that took."""

    job: Job
    record: CommitRecord | None
    error: Exception | None
    written: int
    write_s: float
    cpu_s: float


class Committing:
    """Writes into `sink`; `ended` is told what became of each job, in the writer's thread."""

    def __init__(self, sink: Sink, workers: Workers, now: Callable[[], float], ended: Callable[[Outcome], None]) -> None:
        self.pending: Job | None = None
        """What is held or being written; it may stay for a while after that."""
        self._sink = sink
        self._workers = workers
        self._now = now
        self._ended = ended
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._writer = workers.start("writer", self._write)

    @property
    def busy(self) -> bool:
        return self.pending is not None and not self.pending.done.is_set()

    def hold(self, job: Job) -> None:
        """Take it in; nothing else is taken meanwhile."""
        self.pending = job

    def put(self, job: Job) -> None:
        """It is whole: write it."""
        self.pending = job
        self._jobs.put(job)

    def give_up(self) -> None:
        """What was held is not written."""
        self.pending = None

    def wait(self) -> None:
        """Until what is on its way is written. What is held and not whole was interrupted before its copies were begun."""
        if self.pending is not None and not self.pending.ready:
            self.pending = None
        if self.pending is not None and self.busy:
            self._jobs.put(self.pending)  # whoever was to may have been interrupted; the writer takes each once
        while self.pending is not None and not self.pending.done.wait(LOOK_S):
            if not self._writer.thread.is_alive():
                break
        if not self.busy:
            self.pending = None  # its buffers may go

    def close(self) -> None:
        """Nothing more comes: end the writer."""
        self._jobs.put(None)
        self._workers.stop_one(self._writer)

    def _write(self, stopping: threading.Event) -> None:
        _last_in_line()
        while (job := self._jobs.get()) is not None:
            if not job.done.is_set():
                try:
                    self._ended(self._commit(job))
                finally:
                    job.done.set()
            del job  # its buffers may go while there is nothing to write

    def _commit(self, job: Job) -> Outcome:
        began, cpu_began = self._now(), time.thread_time()
        written, record, failure = 0, None, None
        try:
            for draft in job.drafts:
                record = self._sink.commit(draft)
                written += 1
        except Exception as error:  # full disk, lost lease: shown, and the next snapshot is tried
            failure = error
        return Outcome(job, record, failure, written, self._now() - began, job.cpu_s + time.thread_time() - cpu_began)


def _last_in_line() -> None:
    """Let the calling thread run where no other wants to. Linux gives each thread a priority of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
