"""The memory guard: a cap on the GPU, a watch on host RAM, and series of both while guarded work runs.

It works without a limit too: the series are sampled whenever guarded work runs. What it cannot do: stop one huge
allocation inside C code; the system then kills the kernel, and the work resumes from its last commit.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from colab_guard.clock import Clock
from colab_guard.errors import HostMemoryPressure
from colab_guard.events import EventBus, MemoryPressure, MemorySampled
from colab_guard.hosts import MemoryProbe, SystemProbe
from colab_guard.memory.limits import GpuCap
from colab_guard.workers import Worker, Workers

LOOK_EVERY_S = 0.25
SAMPLE_EVERY_S = 2.0
SERIES_LENGTH = 10_000
LEVELS = (("last", 0.98), ("hard", 0.95), ("soft", 0.90))
"""Shares of the host's limit from which memory counts as short."""
CALM_BELOW = 0.05
"""A level is said again only after use fell this much below it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory at a moment: seconds since the epoch, bytes; GPU figures None without one."""

    at: float
    host_used: int
    host_limit: int
    gpu_allocated: int | None
    gpu_reserved: int | None
    gpu_total: int | None


class MemoryGuard:
    """`on(0.85)` caps and watches; `work_started`/`work_ended` bound the time in which it samples and may interrupt."""

    def __init__(self, *, bus: EventBus, clock: Clock, workers: Workers, probe: MemoryProbe | None = None) -> None:
        self._bus = bus
        self._clock = clock
        self._workers = workers
        self._probe: MemoryProbe = probe or SystemProbe()
        self._cap = GpuCap()
        self._caps: list[float] = []
        self._fraction: float | None = None
        self._worker: Worker | None = None
        self._name = ""
        self._main: int | None = None
        self._said: set[str] = set()
        self._next_sample = 0.0
        self.series: deque[Sample] = deque(maxlen=SERIES_LENGTH)
        self.on_pressure: list[Callable[[str], None]] = []

    @property
    def in_force(self) -> bool:
        return self._fraction is not None

    def on(self, fraction: float) -> None:
        """Put the limit in force: on the GPU now, or as soon as torch has one; on host RAM while guarded work runs."""
        self._fraction = fraction
        self._caps = self._cap.set(fraction)

    def off(self) -> None:
        """Take the limit back."""
        self._fraction = None
        self._caps = []
        self._cap.lift()

    def close(self) -> None:
        self.work_ended()
        self.off()

    def status(self) -> str:
        """One line: what is in force, what is used, how to undo it."""
        used = f"host RAM {_gib(self._probe.host_used())} of {_gib(self._probe.host_limit())}"
        gpu = self._probe.gpu()
        if self._fraction is None:
            return f"Memory: no limit is set; {used}. %memguard 0.85 sets one."
        if self._caps:
            words = f"GPU capped at {', '.join(f'{cap:.0%}' for cap in self._caps)} of its memory"
        else:
            words = f"GPU cap {self._fraction:g}, no GPU in use (it is put in force when torch has one)"
        if gpu is not None:
            words += f", {_gib(gpu.reserved)} of {_gib(gpu.total)} reserved"
        return f"Memory: {words}; {used}, watched while guarded work runs. %memguard off undoes it."

    def work_started(self, name: str) -> None:
        """Guarded work begins in this thread: sample, and watch."""
        self._name = name
        self._main = threading.get_ident()
        self._said.clear()
        self._next_sample = 0.0
        self._worker = self._workers.periodic("memory", LOOK_EVERY_S, self._look)

    def work_ended(self) -> None:
        self._main = None
        if self._worker is not None:
            self._workers.stop_one(self._worker)
            self._worker = None

    # the watch

    def _look(self) -> None:
        used, limit = self._probe.host_used(), self._probe.host_limit()
        if self._clock.monotonic() >= self._next_sample:
            self._next_sample = self._clock.monotonic() + SAMPLE_EVERY_S
            self._sample(used, limit)
        if self._fraction is not None:
            if not self._caps:
                self._caps = self._cap.set(self._fraction)
            self._judge(used, limit)

    def _sample(self, used: int, limit: int) -> None:
        gpu = self._probe.gpu()
        total = gpu.total if gpu is not None else None
        self.series.append(
            Sample(
                self._clock.time(),
                used,
                limit,
                gpu.allocated if gpu is not None else None,
                gpu.reserved if gpu is not None else None,
                total,
            )
        )
        self._bus.post(
            MemorySampled(
                name=self._name,
                host_used=used,
                host_limit=limit,
                gpu_allocated=gpu.allocated if gpu is not None else None,
                gpu_reserved=gpu.reserved if gpu is not None else None,
                gpu_other=gpu.other if gpu is not None else None,
                gpu_total=total,
                gpu_guard=int(self._caps[0] * total) if self._caps and total is not None else None,
            )
        )

    def _judge(self, used: int, limit: int) -> None:
        share = used / max(limit, 1)
        for level, threshold in LEVELS:
            if share < threshold - CALM_BELOW:
                self._said.discard(level)
        for level, threshold in LEVELS:
            if share >= threshold:
                if level not in self._said:
                    self._said |= {name for name, at in LEVELS if at <= threshold}
                    self._press(level, used, limit)
                return

    def _press(self, level: str, used: int, limit: int) -> None:
        what = f"host RAM {_gib(used)} of {_gib(limit)}"
        self._bus.post(MemoryPressure(name=self._name, level=level, what=what))
        for act in self.on_pressure:
            act(level)
        if level == "last" and self._main is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._main), ctypes.py_object(HostMemoryPressure)
            )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
