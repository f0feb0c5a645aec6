"""The memory guard: a cap on accelerators, a watch on host RAM by a process of its own, and series of both.

It works without a limit too: the series are sampled, and the black box is kept, whenever guarded work runs. Where no
process can watch (another system than Linux, a probe of a test's) a thread of the kernel looks instead. What neither can
do: stop one huge allocation inside C code; the system then kills the kernel, and the work resumes from its last commit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from colab_guard import hosts
from colab_guard.clock import Clock
from colab_guard.events import EventBus, MemoryPressure, MemorySampled
from colab_guard.hosts import MemoryProbe, SystemProbe, blackbox
from colab_guard.memory import words
from colab_guard.memory.caps import Cap, Caps
from colab_guard.memory.judge import Judge, Thresholds
from colab_guard.memory.limits import thresholds
from colab_guard.memory.notes import Notes
from colab_guard.memory.reclaim import reclaim
from colab_guard.memory.series import Series
from colab_guard.memory.stopping import Stopper
from colab_guard.memory.watcher import Watcher
from colab_guard.workers import Worker, Workers

LOOK_EVERY_S = 0.25
SAMPLE_EVERY_S = 2.0
CAP_EVERY_S = 10.0
START_AFTER_S = 0.5
"""Work that is over by then gets no process to watch it, unless a limit is in force."""


class MemoryGuard:
    """`on(0.85)` caps and watches; `work_started`/`work_ended` bound the time in which it samples and may interrupt.

    `on_pressure` is called with each level newly reached, in a thread of the guard's.
    """

    def __init__(
        self, *, bus: EventBus, clock: Clock, workers: Workers, probe: MemoryProbe | None = None, notebook: str = ""
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._workers = workers
        self.probe: MemoryProbe = probe or SystemProbe()
        self._notebook = notebook
        self._caps = Caps()
        self._capped: list[Cap] = []
        self._fraction: float | None = None
        self._levels = Thresholds()
        self._judge = Judge()
        self._worker: Worker | None = None
        self._watcher: Watcher | None = None
        self._stays = True
        """Whether what watches outlives the work, to tell how the kernel ended: until `off`."""
        self._lock = threading.RLock()
        self._name = ""
        self._next_sample = self._next_cap = 0.0
        self._stopper = Stopper(lambda: (self.probe.host_used(), self.probe.host_limit()), words.stopped)
        self._notes = Notes(bus, clock, self._tell)
        self._series = Series(bus)
        self.on_pressure: list[Callable[[str], None]] = []

    @property
    def in_force(self) -> bool:
        return self._fraction is not None

    @property
    def series(self) -> Series:
        """Memory over time, and what happened to it."""
        return self._series

    def on(self, fraction: float | None = None, *, soft: float | None = None, hard: float | None = None) -> None:
        """Put the limit in force: on accelerators now, or as soon as torch has one; on host RAM while guarded work runs.

        `soft` and `hard` are shares of host RAM. Without `fraction` the one in force stays.
        """
        levels = thresholds(soft, hard) if soft is not None or hard is not None or not self.in_force else self._levels
        self._fraction = fraction if fraction is not None else self._fraction
        self._stays = True
        self._levels, self._judge = levels, Judge(levels)
        if self._fraction is not None:
            self._capped = self._caps.set(self._fraction)
        self._tell(levels=self._told_levels())
        if self._name:
            self._arm()
        if self._can_watch():
            self._begin()

    def off(self) -> None:
        """Take the limit back; where no work runs, what watches ends too, else with the work."""
        self._fraction = None
        self._stays = False
        self._capped = []
        self._caps.lift()
        self._disarm()
        self._tell(levels=None)
        if not self._name:
            self._end()

    def close(self) -> None:
        self.off()
        self.work_ended()
        self._notes.close()
        self._series.close()

    def status(self) -> str:
        """One line: what is in force, what is used, what cannot be caught, how to undo it."""
        used = words.in_use(self.probe.host_used(), self.probe.host_limit())
        if self._fraction is None:
            return f"Memory: no limit is set; {used}. %memguard 0.85 sets one."
        return words.in_force(self._fraction, self._capped, self.probe.gpu(), used, self._levels)

    # the time of guarded work

    def work_started(self, name: str) -> None:
        """Guarded work begins in this thread: sample, and watch."""
        with self._lock:
            self._name = name
            self._next_sample = 0.0
            self._judge.forget()
            self._notes.work_started(name)
            self._tell(work=name)
        if self._fraction is not None:
            self._arm()
        self._begin()

    def work_ended(self) -> None:
        self._disarm()
        with self._lock:
            self._name = ""
            self._notes.work_started("")
            self._tell(work="")
            lasts = (self._watcher is not None and self._stays) or self._fraction is not None
        if not (lasts and self._can_watch()):
            self._end()

    @property
    def pressed(self) -> bool:
        """Whether host RAM is in use up to the soft threshold or above, now."""
        return self.probe.host_used() >= self._levels.soft * self.probe.host_limit()

    def room(self) -> int | None:
        """Bytes of host RAM that may be taken before the last threshold; None where that is not known."""
        limit = self.probe.host_limit()
        return int(self._levels.last * limit) - self.probe.host_used() if limit else None

    def _arm(self) -> None:
        armed = self._stopper.begin(self._levels.soft)
        self._tell(armed=armed)

    def _disarm(self) -> None:
        self._stopper.end()
        self._tell(armed=False)

    # the watch: a process, or where there is none a thread

    def _can_watch(self) -> bool:
        return isinstance(self.probe, SystemProbe) and self.probe.from_outside

    def _begin(self) -> None:
        if self._worker is None or not self._worker.thread.is_alive():
            self._worker = self._workers.start("memory", self._watch)

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.stopping.set()  # before the lock: what has not started its process by then starts none
        with self._lock:
            watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close()
        self._workers.stop_one(worker)

    def _watch(self, stopping: threading.Event) -> None:
        if self._can_watch():
            if self._fraction is None and self._clock.wait(stopping, START_AFTER_S):
                return
            try:
                self._listen(stopping)
            except Exception as error:
                self._workers.failed("sentinel", error)
        while not self._clock.wait(stopping, LOOK_EVERY_S):
            self._guarded(self._look)

    def _listen(self, stopping: threading.Event) -> None:
        with self._lock:
            if stopping.is_set():
                return
            box = blackbox.path_for(hosts.home(), os.getpid())
            limit = self.probe.limit if isinstance(self.probe, SystemProbe) else None
            watcher = Watcher(self._workers, box=box, notebook=self._notebook, limit=limit)
            self._watcher = watcher
            watcher.tell(levels=self._told_levels(), work=self._name, armed=self._stopper.armed, at=self._notes.at)
        try:
            for said in watcher.lines():
                self._guarded(self._heard, said)
        finally:
            watcher.close()
            with self._lock:
                if self._watcher is watcher:  # not the next one's
                    self._watcher = None
        if not stopping.is_set():
            raise RuntimeError("the sentinel process is gone; the kernel watches by itself from now on")

    def _guarded(self, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except Exception as error:  # the watch goes on
            self._workers.failed("memory", error)

    def _heard(self, said: dict[str, Any]) -> None:
        if "failed" in said:
            raise RuntimeError(f"in the sentinel process: {said['failed']}")
        if "sample" in said:
            self._sample(*said["sample"])
            self._follow()
        if "level" in said:
            self._press(said["level"], said["used"], said["limit"])

    def _tell(self, **news: Any) -> None:
        with self._lock:
            if self._watcher is not None:
                self._watcher.tell(**news)

    def _told_levels(self) -> list[float] | None:
        levels = self._levels
        return [levels.soft, levels.hard, levels.last] if self._fraction is not None else None

    def _look(self) -> None:
        now, used, limit = self._clock.monotonic(), self.probe.host_used(), self.probe.host_limit()
        if now >= self._next_sample:
            self._next_sample = now + SAMPLE_EVERY_S
            self._sample(used, limit)
            self._follow()
        if self._fraction is not None:
            level = self._judge.look(now, used, limit)
            if level is not None:
                self._press(level, used, limit)
            if self._judge.pressed:
                self._stopper.press()

    def _follow(self) -> None:
        """The cap follows what others use, and a GPU that torch has come to use."""
        if self._fraction is not None and self._clock.monotonic() >= self._next_cap:
            self._next_cap = self._clock.monotonic() + (CAP_EVERY_S if self._capped else SAMPLE_EVERY_S)
            self._capped = self._caps.set(self._fraction)

    def _sample(self, used: int, limit: int) -> None:
        gpu, disk = self.probe.gpu(), hosts.disk()
        total = gpu.total if gpu is not None else None
        if gpu is not None:
            self._tell(gpu=gpu.reserved)
        self._notes.tell_now()
        self._bus.post(
            MemorySampled(
                name=self._name,
                host_used=used,
                host_limit=limit,
                gpu_allocated=gpu.allocated if gpu is not None else None,
                gpu_reserved=gpu.reserved if gpu is not None else None,
                gpu_other=gpu.other if gpu is not None else None,
                gpu_total=total,
                gpu_guard=int(self._capped[0].share * total) if self._capped and total is not None else None,
                disk_free=disk[0] if disk is not None else None,
                disk_total=disk[1] if disk is not None else None,
            )
        )

    def _press(self, level: str, used: int, limit: int) -> None:
        what = words.pressure(level, used, limit, working=bool(self._name), can_end=self._stopper.armed)
        self._bus.post(MemoryPressure(name=self._name, level=level, what=what))
        if level == "soft":
            self._clear()
        for act in self.on_pressure:
            act(level)

    def _clear(self) -> None:
        self._bus.post(reclaim(None, self.probe).event(self._name))
