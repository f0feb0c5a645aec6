"""When a snapshot is due: often enough to lose little, seldom enough to cost little.

`every_s` bounds the work at risk; `budget` bounds the share of time for which training stands still or a processor
works for snapshots. Where both can't
be had the budget wins, and `interval_s` says what is at risk instead. A snapshot is also never due before three times
what the last one took to capture and write, so that a slow disk is not fed without end.

A place in the code where state was not whole (in the middle of an episode, say) is tried again less and less often, and
all others as before: the end of the episode, which comes by seldom, must find its chance.
"""

from __future__ import annotations

from collections.abc import Hashable

from colab_guard.clock import Clock

COST_FACTOR = 3.0
RETRY_S = 0.02
RETRY_MAX_S = 5.0
FAILED_RETRY_S = 1.0
"""After a snapshot that could not be written; each costs a capture, and a disk stays full for longer than a safe point."""


class Schedule:
    """Knows the next time at which a snapshot is due."""

    def __init__(self, clock: Clock, every_s: float, budget: float) -> None:
        self._clock = clock
        self.every_s = every_s
        self.budget = budget
        self.interval_s = every_s
        self._failed_wait = FAILED_RETRY_S
        self._waits: dict[Hashable, float] = {}
        self._not_before: dict[Hashable, float] = {}
        self._stalled_s = 0.0
        self.safe_s = 0.0
        """Time that passed in safe points: looks at the clock, and snapshots."""
        self.cpu_s = 0.0
        """Processor time of threads of ours beside training."""
        self.started = clock.monotonic()
        self.last_taken = self.started
        self.due_at = self.started + every_s

    def due(self) -> bool:
        return self._clock.monotonic() >= self.due_at

    def overdue(self) -> bool:
        """So late that any safe point will do, an unfavourable one too."""
        return self._clock.monotonic() >= self.due_at + self.interval_s

    def captured(self, stall_s: float) -> None:
        """A snapshot was captured in `stall_s` seconds just now."""
        self._stalled_s += stall_s
        self.last_taken = self._clock.monotonic()
        self._plan(stall_s, 0.0)

    def joined(self, stall_s: float) -> None:
        """Training stood still once more for the snapshot captured last, until its copies were made."""
        self._stalled_s += stall_s
        self.safe_s += stall_s

    def taken_back(self, last_taken: float) -> None:
        """The snapshot captured last is none; the one before was taken at `last_taken`. Try again soon."""
        self.last_taken = last_taken
        self.refused()

    def written(self, stall_s: float, write_s: float, cpu_s: float = 0.0) -> None:
        """The snapshot captured last is on disk; that took `write_s` seconds, `cpu_s` of them of a processor."""
        self.cpu_s += cpu_s
        self._failed_wait = FAILED_RETRY_S
        self._plan(stall_s, write_s, cpu_s)

    def failed(self) -> None:
        """The snapshot captured last could not be written (a full disk, say): try again, less and less often."""
        self.due_at = self._clock.monotonic() + self._failed_wait
        self._failed_wait = min(2 * self._failed_wait, max(FAILED_RETRY_S, self.interval_s))

    def refused(self) -> None:
        """State was not whole: try again soon, elsewhere."""
        self.due_at = self._clock.monotonic() + RETRY_S

    def refused_at(self, place: Hashable) -> None:
        """It was not whole at `place`: try there less and less often."""
        wait = self._waits.get(place, RETRY_S)
        self._not_before[place] = self._clock.monotonic() + wait
        self._waits[place] = min(2 * wait, RETRY_MAX_S)

    def taken_at(self, place: Hashable) -> None:
        """It was whole at `place`."""
        self._waits.pop(place, None)

    def may(self, place: Hashable) -> bool:
        """Whether it is worth trying at `place` again."""
        return not self._not_before or self._clock.monotonic() >= self._not_before.get(place, 0.0)

    @property
    def stall_share(self) -> float:
        """Share of the time so far for which training stood still."""
        return self._stalled_s / max(self._clock.monotonic() - self.started, 1e-9)

    @property
    def guard_share(self) -> float:
        """Share of the time so far that passed in safe points."""
        return self.safe_s / max(self._clock.monotonic() - self.started, 1e-9)

    def _plan(self, stall_s: float, write_s: float, cpu_s: float = 0.0) -> None:
        self.interval_s = max(self.every_s, COST_FACTOR * (stall_s + write_s), (stall_s + cpu_s) / self.budget)
        self.due_at = self.last_taken + self.interval_s
