"""How often a loop looks at the clock: seldom enough to cost nothing, often enough to be on time."""

from __future__ import annotations

FAST_S = 0.0002
"""An iteration that takes less is one of which several pass between two looks."""
SLOW_S = 0.001
LATE_S = 0.05
"""The time between two looks is a few milliseconds; where it has become this, iterations have become slow."""


class Pace:
    """How many iterations pass between two looks at the clock: doubling while they are fast, back to one when slow."""

    __slots__ = ("_most", "iteration_s", "last", "looks", "seen")

    def __init__(self, now: float, most: int) -> None:
        self._most = most
        self.looks = 1
        self.last = now
        self.seen = 0
        self.iteration_s = 0.0

    def next(self, now: float, done: int) -> int:
        """The count until the next look, `done` iterations after the loop's start."""
        spent = now - self.last
        self.iteration_s = spent / max(done - self.seen, 1)
        self.last, self.seen = now, done
        if spent < FAST_S * 10 and self.iteration_s < FAST_S:
            self.looks = min(2 * self.looks, self._most)
        elif self.iteration_s > SLOW_S or spent > LATE_S:
            self.looks = 1
        return self.looks

    def soon(self, now: float, within_s: float) -> bool:
        """Whether the loop is likely to look again within `within_s`: its iterations are that short, and this one is not late."""
        usual = self.iteration_s * self.looks
        return 0 < usual < within_s and now - self.last < 2 * usual
