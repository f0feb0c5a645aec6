"""When memory counts as short: three shares of the limit, each said once, and looked at more often the nearer they are.

A loop that grows fast is past the last share before the next look: what is judged is therefore also where memory will be
then, if it goes on as in the last two looks. Used in the sentinel process, so the standard library alone is needed.
"""

from __future__ import annotations

from typing import NamedTuple

LEVELS = ("soft", "hard", "last")
CALM_BELOW = 0.05
"""A level is said again only after use fell this much below it."""
CALM_S, NEAR_S, PRESSED_S = 0.25, 0.1, 0.02
"""Seconds to the next look: 4 a second, 10 where a level is near, and more in the last moments only."""
REACTION_S = 0.15
"""From a look to the moment at which a loop of Python stops: the look before it, a signal, and the exception on its way."""
NEAR_AHEAD_S, PRESSED_AHEAD_S = 1.0, 0.5


class Thresholds(NamedTuple):
    """Shares of the limit: from `soft` on caches are cleared, at `hard` the work is committed, at `last` it is ended."""

    soft: float = 0.85
    hard: float = 0.90
    last: float = 0.93

    def share(self, level: str) -> float:
        found: float = getattr(self, level)
        return found


class Judge:
    """Told each look, says which level memory has newly come to; `pressed` while it is at the last one."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self.thresholds = thresholds or Thresholds()
        self.wait_s = CALM_S
        self.pressed = False
        self._said: set[str] = set()
        self._before: tuple[float, int] | None = None
        self._rates = (0.0, 0.0)

    def look(self, at: float, used: int, limit: int) -> str | None:
        """`used` of `limit` bytes at the moment `at` (seconds); the level to be said now, or None."""
        if self._before is not None and at > self._before[0]:
            self._rates = (self._rates[1], (used - self._before[1]) / (at - self._before[0]))
        self._before = (at, used)
        limit = max(limit, 1)
        steady = max(min(self._rates), 0.0)
        share, ahead = used / limit, (used + steady * REACTION_S) / limit
        self.wait_s = self._wait(used, limit)
        self.pressed = self._reached("last", share, ahead)
        for level in LEVELS:
            if share < self.thresholds.share(level) - CALM_BELOW:
                self._said.discard(level)
        highest = next((level for level in reversed(LEVELS) if self._reached(level, share, ahead)), None)
        if highest is None or highest in self._said:
            return None
        self._said |= set(LEVELS[: LEVELS.index(highest) + 1])
        return highest

    def forget(self) -> None:
        """Other work begins: what was said was said of the one before."""
        self._said.clear()

    def _reached(self, level: str, share: float, ahead: float) -> bool:
        at = self.thresholds.share(level)
        return share >= at or (ahead >= at and share >= self.thresholds.soft)

    def _wait(self, used: int, limit: int) -> float:
        fastest = max(*self._rates, 0.0)
        if used + fastest * PRESSED_AHEAD_S >= self.thresholds.last * limit and fastest > 0:
            return PRESSED_S
        if used + fastest * NEAR_AHEAD_S >= self.thresholds.hard * limit or used >= (self.thresholds.soft - CALM_BELOW) * limit:
            return NEAR_S
        return CALM_S
