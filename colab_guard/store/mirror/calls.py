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
SLOWEST_BYTES_PER_S = 200_000
"""What goes out in one request may take so long without a sign, where nothing was measured yet."""


class Call:
    """One call's state: given up or not, and when it last got on."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self.moved_at = time.monotonic()

    def moved(self) -> None:
        """It gets on; raises where nobody waits any more: what it was to do may be wrong by now."""
        if self.gone.is_set():
            raise Abandoned("the call was left behind")
        self.moved_at = time.monotonic()


def limited(workers: Workers, what: str, action: Callable[[Call], T], limit_s: float | None = None) -> T:
    """Run `action` and give its result; `Abandoned` where it does not get on for `limit_s` seconds."""
    call = Call()
    limit = CALL_LIMIT_S if limit_s is None else limit_s
    try:
        return workers.call(f"mirror: {what}", lambda: action(call), limit, moved_at=lambda: call.moved_at)
    except Abandoned:
        call.gone.set()
        raise


def silence_s(size: int, bytes_per_s: float | None) -> float:
    """How long `size` bytes may take without a sign: four times what they should."""
    return CALL_LIMIT_S + size / (bytes_per_s / 4 if bytes_per_s else SLOWEST_BYTES_PER_S)
