"""Refused and failed snapshots of one piece of work: counted by reason, and how long none was taken because of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

MOST_REASONS = 50
"""Reasons that are told apart; they may hold names and numbers of the user's."""
OTHERS = "other reasons"
TOLD = 3
LATE = 1.5
"""Intervals without a snapshot from which on the delay is told at the end."""


class Refusals:
    """`counts` by reason. `longest` is the worst stretch without a snapshot: seconds, and what was refused in it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.places: dict[str, str] = {}
        self.longest: tuple[float, Counter[str]] = (0.0, Counter())
        self._now: Counter[str] = Counter()

    def add(self, reason: str, place: str) -> None:
        known = reason if reason in self.counts or len(self.counts) < MOST_REASONS else OTHERS
        self.counts[known] += 1
        self.places[known] = place
        self._now[known] += 1

    def ended(self, unsaved_s: float, interval_s: float) -> None:
        """A snapshot was taken, or the work is over, after `unsaved_s` seconds without one."""
        if self._now and unsaved_s > LATE * interval_s and unsaved_s > self.longest[0]:
            self.longest = unsaved_s, self._now
        self._now = Counter()

    def words(self, counts: Mapping[str, int] | None = None) -> list[str]:
        """The most frequent reasons, each with its count and where it was met last."""
        most = Counter(self.counts if counts is None else counts).most_common()
        told = [f"{times(count)}: {reason} (last at {self.places[reason]})" for reason, count in most[:TOLD]]
        more = sum(count for _, count in most[TOLD:])
        return [*told, f"{times(more)}: {OTHERS}"] if more else told


def times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
