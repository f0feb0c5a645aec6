"""Time, real and fake: every wait in the project goes through a `Clock`, so that tests need not sleep."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Where the project reads time and waits."""

    def monotonic(self) -> float:
        """Seconds that never go back; for intervals."""

    def time(self) -> float:
        """Seconds since the epoch; for what people read."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` seconds have passed; say whether it is set."""


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


class FakeClock:
    """A clock that stands still until `advance` is called; waiting threads wake when their time has come."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._now = start
        self._moved = threading.Condition()

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        with self._moved:
            self._now += seconds
            self._moved.notify_all()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        until = self._now + timeout_s
        with self._moved:
            while not event.is_set() and self._now < until:
                # an Event cannot notify our condition, so it is looked at often
                self._moved.wait(0.005)
        return event.is_set()
