"""What the browser said, and when: pings are answered, late ones dropped and counted.

Without subshells a ping waits until the running cell ends, so after six hours hundreds arrive at once. They say nothing
about now and are dropped by their age. That is told by the kernel's own clock, which each ping gives back: the newest heartbeat that
the page knows, and how long it has known it. The browser's clock may be another, by hours.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

STALE_AFTER = 2  # pings older than so many intervals are dropped
LOST_AFTER = 2  # and so many intervals of silence mean that the page is gone


@dataclass(frozen=True, slots=True)
class Heard:
    """The browser's side as known now; times in seconds since the epoch."""

    count: int
    last: float | None
    stale: int
    lost: bool
    round_trip_s: float | None = None


class Pings:
    """Shared by the thread that hears (a subshell's, or the main one) and the one that checks."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._lock = threading.Lock()
        self._count = 0
        self._stale = 0
        self._last: float | None = None
        self._lost = False
        self._round_trip_s: float | None = None

    def hear(self, content: Mapping[str, object], now: float) -> dict[str, object] | None:
        """Take in a message that arrived at `now`; give the answer, or None for a stale or foreign one."""
        sent_ms = content.get("sent_ms")
        if content.get("type") != "ping" or not isinstance(sent_ms, int | float):
            return None
        with self._lock:
            if now - _sent_at(content, sent_ms) > STALE_AFTER * self._every_s:
                self._stale += 1
                return None
            self._count += 1
            self._last = now
            self._lost = False
            self._round_trip_s = round_trip_s(content)
        return {"type": "pong", "id": content.get("id"), "sent_ms": sent_ms, "heard_ms": now * 1000}

    def silence(self, now: float) -> float | None:
        """Seconds of silence, once, when the page has just been lost: it had been heard, and is no longer."""
        with self._lock:
            if self._last is None or self._lost or now - self._last <= LOST_AFTER * self._every_s:
                return None
            self._lost = True
            return now - self._last

    @property
    def heard(self) -> Heard:
        """All at one moment."""
        with self._lock:
            return Heard(self._count, self._last, self._stale, self._lost, self._round_trip_s)


def _sent_at(content: Mapping[str, object], sent_ms: float) -> float:
    """By the kernel's clock; by the browser's where the page has not heard a heartbeat yet."""
    beat, ago_ms = content.get("beat"), content.get("beat_ago_ms")
    if isinstance(beat, int | float) and isinstance(ago_ms, int | float):
        return beat + ago_ms / 1000
    return sent_ms / 1000


def round_trip_s(content: Mapping[str, object]) -> float | None:
    """The browser's own measurement of its ping before this one, in seconds, where it sends one."""
    value = content.get("round_trip_ms")
    return value / 1000 if isinstance(value, int | float) else None
