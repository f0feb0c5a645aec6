"""Calls into a mirror that may hang for ever: left behind when nothing moves, and then they change nothing more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from colab_guard.workers import Abandoned, Workers

T = TypeVar("T")
CALL_LIMIT_S = 30.0
"""A call that has not got on for so long is left behind."""
MOST_LEFT = 3
"""So many calls may hang before the next one waits for as long as all of them were given."""
SLOWEST_BYTES_PER_S = 200_000
"""What goes out in one request may take so long without a sign, where nothing was measured yet."""


class Call:
    """One call's state: given up or not, whether it has come back, and when it last got on."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self.ended = threading.Event()
        self.moved_at = time.monotonic()

    def moved(self) -> None:
        """It gets on; raises where nobody waits any more: what it was to do may be wrong by now."""
        if self.gone.is_set():
            raise Abandoned("the call was left behind")
        self.moved_at = time.monotonic()


class Calls:
    """Calls into one place. Each that is left behind keeps a thread: where some hang, another is tried more and more seldom."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._left: list[Call] = []
        self._not_before = 0.0
        self._newest: Call | None = None

    @property
    def moved_at(self) -> float:
        """When the call that was begun last got on; by `time.monotonic`."""
        return self._newest.moved_at if self._newest is not None else 0.0

    def limited(self, what: str, action: Callable[[Call], T], limit_s: float | None = None) -> T:
        """Run `action` and give its result; `Abandoned` where it does not get on for `limit_s` seconds."""
        self._left = [call for call in self._left if not call.ended.is_set()]
        if len(self._left) >= MOST_LEFT and time.monotonic() < self._not_before:
            raise Abandoned(f"mirror: {what} is not tried now: {len(self._left)} calls before it have not come back")
        call = self._newest = Call()
        limit = CALL_LIMIT_S if limit_s is None else limit_s

        def run() -> T:
            try:
                return action(call)
            finally:
                call.ended.set()

        try:
            return self._workers.call(f"mirror: {what}", run, limit, moved_at=lambda: call.moved_at)
        except Abandoned:
            call.gone.set()
            self._left.append(call)
            self._not_before = time.monotonic() + len(self._left) * limit
            raise


def limited(workers: Workers, what: str, action: Callable[[Call], T], limit_s: float | None = None) -> T:
    """One call by itself, as `Calls.limited`."""
    return Calls(workers).limited(what, action, limit_s)


def silence_s(size: int, bytes_per_s: float | None) -> float:
    """How long `size` bytes may take without a sign: four times what they should."""
    return CALL_LIMIT_S + size / (bytes_per_s / 4 if bytes_per_s else SLOWEST_BYTES_PER_S)
