"""Memory over time, with what happened to it: the data behind the pictures.

The series is thinned as it grows, so that it always reaches back to its beginning: `SERIES_LENGTH` samples at most, each
the highest of those that it stands for (a peak must not be lost).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from colab_guard.events import (
    Event,
    EventBus,
    MemoryPressure,
    MemoryReclaimed,
    MemorySampled,
    OutOfMemoryRecovered,
    UnitFinished,
    UnitStarted,
)

SERIES_LENGTH = 4096
MARKS = 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory at a moment: seconds since the epoch, bytes; GPU figures None without one."""

    at: float
    host_used: int
    host_limit: int
    gpu_allocated: int | None = None
    gpu_reserved: int | None = None
    gpu_total: int | None = None
    gpu_guard: int | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened to memory: `kind` is "clear", "pressure", "recovery", "unit" (one begins) or "unit end".

    `sweep`: whose unit it is.
    """

    at: float
    kind: str
    text: str = ""
    sweep: str = ""


class Series:
    """Listens to `bus`; `samples` and `marks` are oldest first, and may be read from any thread."""

    def __init__(self, bus: EventBus) -> None:
        self._lock = threading.Lock()
        self._samples: list[Sample] = []
        self._marks: list[Mark] = []
        self._every, self._since = 1, 0
        self._held: Sample | None = None
        self.close = bus.subscribe(self._hear)

    @property
    def samples(self) -> tuple[Sample, ...]:
        with self._lock:
            return (*self._samples, *(() if self._held is None else (self._held,)))

    @property
    def marks(self) -> tuple[Mark, ...]:
        with self._lock:
            return tuple(self._marks)

    def _hear(self, event: Event, at: float) -> None:
        if isinstance(event, MemorySampled):
            figures = (event.host_used, event.host_limit, event.gpu_allocated, event.gpu_reserved, event.gpu_total, event.gpu_guard)
            self._add(Sample(at, *figures))
        elif (mark := _mark(event, at)) is not None:
            with self._lock:
                self._marks.append(mark)
                del self._marks[:-MARKS]

    def _add(self, sample: Sample) -> None:
        with self._lock:
            self._held = sample if self._held is None else _higher(self._held, sample)
            self._since += 1
            if self._since < self._every:
                return
            self._samples.append(self._held)
            self._held, self._since = None, 0
            if len(self._samples) >= SERIES_LENGTH:
                pairs = zip(self._samples[::2], self._samples[1::2], strict=True)
                self._samples = [_higher(one, other) for one, other in pairs]
                self._every *= 2


def _higher(one: Sample, other: Sample) -> Sample:
    return one if (one.gpu_reserved or one.host_used) > (other.gpu_reserved or other.host_used) else other


def _mark(event: Event, at: float) -> Mark | None:
    if isinstance(event, MemoryReclaimed):
        freed = (event.gpu_before or event.host_before) - (event.gpu_after or event.host_after)
        return Mark(at, "clear", f"{freed / 2**20:.0f} MiB freed")
    if isinstance(event, MemoryPressure):
        return Mark(at, "pressure", event.level)
    if isinstance(event, UnitStarted):
        return Mark(at, "unit", event.label, event.sweep)
    if isinstance(event, UnitFinished):
        return Mark(at, "unit end", event.label, event.sweep)
    return Mark(at, "recovery", event.did) if isinstance(event, OutOfMemoryRecovered) else None
