"""How long a machine still has, where its host is known to end it: the countdown, and the commits before the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from colab_guard.hosts import Limit

LEAD_S = (600.0, 120.0)
"""A commit is asked for so long before the end: one that may take its time, and one that loses little."""


@dataclass(frozen=True, slots=True)
class Left:
    """A limit and the seconds until it; below 0 where it has passed and did not hold."""

    limit: Limit
    seconds: float

    def __str__(self) -> str:
        hours = f"{self.limit.seconds / 3600:g} h ({self.limit.whose})"
        return f"{spoken(self.seconds)} of {hours}" if self.seconds > 0 else f"{hours} has passed and did not hold"


def left(limits: Sequence[Limit], started: float, now: float) -> list[Left]:
    """What is left of each limit; `started` and `now` in seconds since the epoch."""
    return [Left(limit, started + limit.seconds - now) for limit in limits]


class LimitWatch:
    """Says when an end is near: once for each limit and lead."""

    def __init__(self, limits: Sequence[Limit], started: float) -> None:
        self._limits = tuple(limits)
        self._started = started
        self._said: set[tuple[float, float]] = set()

    def due(self, now: float) -> Left | None:
        """The nearest end that has just come within reach, or None."""
        due: Left | None = None
        for known in left(self._limits, self._started, now):
            leads = {(known.limit.seconds, lead) for lead in LEAD_S if 0 < known.seconds <= lead}
            if leads - self._said:
                self._said |= leads
                due = known if due is None or known.seconds < due.seconds else due
        return due


def spoken(seconds: float) -> str:
    """A time for people: "8 h 48 min", "9 min", "40 s"."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{max(0.0, seconds):.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
