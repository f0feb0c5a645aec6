"""Parts of the state that are measured over time: curves, memory, disk. Of bounded size, however long it lasts."""

from __future__ import annotations

from dataclasses import dataclass, replace

CURVE_POINTS = 60
SERIES_POINTS = 60
SERIES_EVERY_S = 10.0  # 60 points of 10 s: ten minutes
SERIES_GAP_S = 60.0
"""A longer silence begins a new series."""
DURATIONS = 40
"""Runs whose times an estimate rests on: the newest."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Losses thinned to at most `CURVE_POINTS`: each point is the mean of `every` losses."""

    points: tuple[float, ...] = ()
    every: int = 1
    held: float = 0.0
    count: int = 0

    def add(self, value: float) -> Curve:
        held, count = self.held + value, self.count + 1
        if count < self.every:
            return Curve(self.points, self.every, held, count)
        points = (*self.points, held / count)
        if len(points) < CURVE_POINTS:
            return Curve(points, self.every)
        pairs = tuple((a + b) / 2 for a, b in zip(points[::2], points[1::2], strict=False))
        return Curve(pairs, self.every * 2)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in use. Everything about the GPU is None without one. Series are fractions, oldest first, the last at `series_at`."""

    host_used: int
    host_limit: int
    host_peak: int
    gpu_allocated: int | None = None
    gpu_reserved: int | None = None
    gpu_other: int | None = None
    gpu_total: int | None = None
    gpu_guard: int | None = None
    gpu_peak: int | None = None
    disk_free: int | None = None
    disk_total: int | None = None
    host_series: tuple[float, ...] = ()
    gpu_series: tuple[float, ...] = ()
    series_at: float = 0.0
    marks: tuple[tuple[float, str], ...] = ()
    """What happened to it, the newest last: when, and "clear", "recovery" or the level of pressure ("soft", "hard", "last")."""

    @property
    def gpu_used(self) -> int | None:
        """All that is in use on the GPU, by whomever."""
        return None if self.gpu_reserved is None else self.gpu_reserved + (self.gpu_other or 0)

    @property
    def used(self) -> int:
        """What a run's peak is of: the GPU's where there is one, else the host's."""
        return self.host_used if self.gpu_used is None else self.gpu_used

    def marked(self, at: float, kind: str) -> Memory:
        return replace(self, marks=(*self.marks, (at, kind))[-SERIES_POINTS:])

    def sampled(self, at: float) -> Memory:
        """With a point of the series, where one is due."""
        apart = at - self.series_at
        if self.host_series and apart < SERIES_EVERY_S:
            return self
        known = self if apart <= SERIES_GAP_S else replace(self, host_series=(), gpu_series=())
        # points stand for equal times: where one is late, it stands for those that were left out too
        times = max(1, round(apart / SERIES_EVERY_S)) if known.host_series else 1
        host = self.host_used / self.host_limit if self.host_limit else 0.0
        known = replace(known, host_series=_longer(known.host_series, host, times), series_at=at)
        if self.gpu_used is not None and self.gpu_total:
            known = replace(known, gpu_series=_longer(known.gpu_series, self.gpu_used / self.gpu_total, times))
        return known


def _longer(series: tuple[float, ...], point: float, times: int) -> tuple[float, ...]:
    return (*series, *(round(point, 3),) * times)[-SERIES_POINTS:]


@dataclass(frozen=True, slots=True)
class Freed:
    """What the last clear freed, in bytes, and who still holds memory."""

    at: float
    host: int
    gpu: int | None
    holders: tuple[str, ...] = ()
