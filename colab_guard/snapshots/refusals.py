"""Refused and failed snapshots of one piece of work: counted by reason, and how long none was taken because of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

MOST_REASONS = 50
"""Reasons that are told apart; they may hold names and numbers of the user's."""
OTHERS = "other reasons"
TOLD = 3
LATE = 1.5
"""Intervals without a snapshot from which on the delay is told at the end."""
HOPELESS_TIMES = 5
HOPELESS_S = 10.0
"""Refused so often in a row, and for so long, a snapshot will hardly be taken at the next safe point."""


@dataclass(frozen=True, slots=True)
class InARow:
    """Safe points that could not be saved, one after another: why the last, how many, and since when."""

    reason: str
    times: int
    since: float


class Refusals:
    """`counts` by reason. `longest` is the worst stretch without a snapshot: seconds, and what was refused in it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.counts: Counter[str] = Counter()
        self.places: dict[str, str] = {}
        self.longest: tuple[float, Counter[str]] = (0.0, Counter())
        self.row: InARow | None = None
        """What was refused since the last snapshot that was taken."""
        self._now = now
        self._since_then: Counter[str] = Counter()

    @property
    def hopeless(self) -> str | None:
        """Why the next safe point will hardly be saved either: all have been refused for some time; else None."""
        if self.row is None or self.row.times < HOPELESS_TIMES or self._now() - self.row.since < HOPELESS_S:
            return None
        return f"no safe point could be saved for {self._now() - self.row.since:.0f} s ({self.row.reason})"

    def add(self, reason: str, place: str) -> None:
        known = reason if reason in self.counts or len(self.counts) < MOST_REASONS else OTHERS
        self.counts[known] += 1
        self.places[known] = place
        self._since_then[known] += 1
        self.row = InARow(reason, 1, self._now()) if self.row is None else replace(self.row, reason=reason, times=self.row.times + 1)

    def taken(self) -> None:
        """A safe point could be saved."""
        self.row = None

    def ended(self, unsaved_s: float, interval_s: float) -> None:
        """A snapshot was taken, or the work is over, after `unsaved_s` seconds without one."""
        if self._since_then and unsaved_s > LATE * interval_s and unsaved_s > self.longest[0]:
            self.longest = unsaved_s, self._since_then
        self._since_then = Counter()

    def words(self, counts: Mapping[str, int] | None = None) -> list[str]:
        """The most frequent reasons, each with its count and where it was met last."""
        most = Counter(self.counts if counts is None else counts).most_common()
        told = [f"{times(count)}: {reason} (last at {self.places[reason]})" for reason, count in most[:TOLD]]
        more = sum(count for _, count in most[TOLD:])
        return [*told, f"{times(more)}: {OTHERS}"] if more else told


def times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
