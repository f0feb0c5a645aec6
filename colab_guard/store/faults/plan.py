"""The plan: which operations fail, and how.

Operations are "list", "size", "read", "send" (and "write", a small file), "remove" and "rename". `match` is a pattern of names
("packs/*"), `times` how often the fault comes (None: always), `after` how many operations pass before it.
"""

from __future__ import annotations

import fnmatch
import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

ENDLESS_S = 24 * 3600.0


@dataclass
class _Fault:
    operation: str
    match: str
    times: int | None
    after: int
    act: Callable[[str], None]


@dataclass
class Faults:
    """A plan that can be changed while it runs. All methods may be called from any thread."""

    done: Counter[str] = field(default_factory=Counter)
    """How often each operation was asked for."""
    hanging: int = 0
    """Calls that hang now."""
    short: float | None = None
    """The share of a file's bytes that arrives, without an error; None: all."""
    unseen: int = 0
    """How many listings pass before a new file is seen; it cannot be read before."""
    cached_reads: bool = False
    """What was sent from here is read from the cache, whatever the far side holds."""
    queued: bool = False
    """What is sent waits to be uploaded: `FaultyPlace.upload` and `lose_machine` say what comes of it."""
    duplicates: bool = False
    """A name that is written again appears twice, the second as `name (1)`, as on Drive; the old one stays."""
    _plan: list[_Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _released: threading.Event = field(default_factory=threading.Event)

    def fail(self, operation: str, code: int, *, match: str = "*", times: int | None = None, after: int = 0) -> None:
        """Raise the OSError of that number: EIO, ENOSPC, EDQUOT, ENOTCONN (107: the mount is gone)."""

        def act(name: str) -> None:
            raise OSError(code, os.strerror(code), name)

        self._add(_Fault(operation, match, times, after, act))

    def hang(self, operation: str, *, match: str = "*", times: int | None = None, after: int = 0) -> None:
        """Do not come back until `release`; then go on as if nothing had been."""

        def act(name: str) -> None:
            with self._lock:
                self.hanging += 1
                released = self._released
            released.wait(ENDLESS_S)
            with self._lock:
                self.hanging -= 1

        self._add(_Fault(operation, match, times, after, act))

    def call(self, operation: str, action: Callable[[str], None], *, match: str = "*", times: int | None = None) -> None:
        """Run `action(name)` before the operation: a test's own fault, or a moment to wait for."""
        self._add(_Fault(operation, match, times, 0, action))

    def release(self) -> None:
        """What hangs goes on."""
        with self._lock:
            self._released.set()
            self._released = threading.Event()

    def heal(self) -> None:
        """No more faults from now on; what hangs goes on."""
        with self._lock:
            self._plan.clear()
        self.short, self.unseen, self.cached_reads, self.duplicates = None, 0, False, False
        self.release()

    def before(self, operation: str, name: str) -> None:
        """Called by the faulty file systems before each operation."""
        with self._lock:
            self.done[operation] += 1
            due = [fault for fault in self._plan if fault.operation in (operation, "*") and fnmatch.fnmatch(name, fault.match)]
            acting = [fault for fault in due if self._comes(fault)]
        for fault in acting:
            fault.act(name)

    def _comes(self, fault: _Fault) -> bool:
        if fault.after > 0:
            fault.after -= 1
            return False
        if fault.times is None:
            return True
        fault.times -= 1
        return fault.times >= 0

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._plan.append(fault)
