"""How much memory there is, how much is used, and how often the system killed for it: files of Linux, and nothing else.

The sentinel process reads through this module too, so it needs the standard library alone. A process may stand in a group
of either kind of cgroups, with limits at any height above it: the lowest one counts, with the use of that very group.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

V1_UNLIMITED = 2**62
EVENTS_VARIABLE = "CGROUP_MEMORY_EVENTS"
"""Colab names the files there in which the system counts its kills."""
CHOOSE_EVERY_S, FILES_EVERY_S = 10.0, 1.0
NEAR = 0.7
"""Of the limit: from there on nothing is taken from an earlier look."""
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class _Kind(NamedTuple):
    """What the files of one kind of cgroup are called."""

    tops: tuple[str, ...]
    limit: str
    used: str
    files: tuple[str, str]
    """Entries of memory.stat: pages of files, which the system takes back before it kills for memory."""
    kills: str


V2 = _Kind(("sys/fs/cgroup", "sys/fs/cgroup/unified"), "memory.max", "memory.current", ("inactive_file", "active_file"), "memory.events")
V1 = _Kind(
    ("sys/fs/cgroup/memory",),
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
    "memory.oom_control",
)


class HostGauge:
    """Memory that the process `pid` (None: this one) shares with others; `root` stands for `/` in tests.

    Made to be read several times a second: which group counts is looked up now and then only, and so is what of its use
    can be had back, as long as use is far from the limit.
    """

    def __init__(self, pid: int | None = None, root: Path = Path("/")) -> None:
        self._meminfo = str(root / "proc/meminfo")
        self._groups = [(kind, str(folder)) for kind, folder in _groups(root, pid)]
        self._group: tuple[_Kind, str, int] | None = None
        self._files = 0
        self._choose_at = self._files_at = 0.0

    @property
    def works(self) -> bool:
        """Whether this system tells."""
        return os.path.exists(self._meminfo)

    def read(self) -> tuple[int, int]:
        """Bytes in use that cannot be had back, and bytes that may be used in all."""
        now = time.monotonic()
        if now >= self._choose_at:
            self._choose_at, self._files_at = now + CHOOSE_EVERY_S, 0.0
            self._choose()
        if self._group is None:
            total, available = self._machine()
            return total - available, total
        kind, folder, limit = self._group
        current = _number(f"{folder}/{kind.used}") or 0
        if now >= self._files_at or current - self._files > NEAR * limit:
            self._files_at = now + FILES_EVERY_S
            stat = _text(f"{folder}/memory.stat")
            self._files = sum(_entry_of(stat, name) for name in kind.files)
        return max(current - self._files, 0), limit

    def _choose(self) -> None:
        total, _ = self._machine()
        limited = [(limit, kind, folder) for kind, folder in self._groups if (limit := _limit(kind, folder)) is not None]
        limit, kind, folder = min(limited, key=lambda one: one[0], default=(0, V2, ""))
        counts = folder and (limit <= total or not total) and _number(f"{folder}/{kind.used}") is not None
        self._group = (kind, folder, limit) if counts else None

    def _machine(self) -> tuple[int, int]:
        lines = _text(self._meminfo, 256).splitlines()
        found = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines[:3] if len(line.split()) > 1}
        return found.get("MemTotal", 0), found.get("MemAvailable", 0)


class ProcessGauge:
    """Memory of one process alone, against a limit of the caller's choice."""

    works = True

    def __init__(self, limit: int, pid: int | None = None) -> None:
        self._limit = limit
        self._pid = pid

    def read(self) -> tuple[int, int]:
        return rss(self._pid), self._limit


def rss(pid: int | None = None) -> int:
    """Bytes of RAM that the process holds; 0 where it is gone."""
    words = _text(f"/proc/{pid or 'self'}/statm").split()
    return int(words[1]) * PAGE if len(words) > 1 else 0


def oom_kills(pid: int | None = None, root: Path = Path("/")) -> dict[str, int]:
    """As `group_kills`; where no group counts, the machine's count."""
    return group_kills(pid, root) or counted([str(root / "proc/vmstat")])


def group_kills(pid: int | None = None, root: Path = Path("/")) -> dict[str, int]:
    """By file: how many processes the system has killed for memory, as the group of `pid` counts them.

    Counts of groups above are left alone, since they hold those of strangers.
    """
    told = [Path(name) for name in os.environ.get(EVENTS_VARIABLE, "").replace(":", " ").split()]
    own = [next((f / k.kills for k, f in _groups(root, pid) if k is kind and (f / k.kills).exists()), None) for kind in (V2, V1)]
    return counted([*map(str, told), *(str(path) for path in own if path is not None)])


def counted(files: Iterable[str]) -> dict[str, int]:
    """What each of `files` counts now; those that do not count such kills are left out."""
    texts = {name: _text(name) for name in files}
    return {name: _entry_of(text, "oom_kill") for name, text in texts.items() if "oom_kill " in text}


def total(counts: dict[str, int]) -> int | None:
    """All of them together; None where nothing counts."""
    return sum(counts.values()) if counts else None


def grew(before: dict[str, int], after: dict[str, int]) -> bool:
    """Whether the system has killed for memory between two counts."""
    return any(count > before[name] for name, count in after.items() if name in before)


def boot_id() -> str:
    """Another one after each start of the machine; "" where nothing tells."""
    return _text("/proc/sys/kernel/random/boot_id").strip()


def started(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; None where it is gone. With its number it is one of its kind."""
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 else None


def wait_status(pid: int) -> int | None:
    """How a process ended, as `waitpid` tells it, as long as its parent has not asked for that; else None."""
    fields = _stat(pid)
    return int(fields[49]) if len(fields) > 49 and fields[0] == "Z" else None


def _stat(pid: int) -> list[str]:
    """From the process's state on; its name before that may hold anything."""
    return _text(f"/proc/{pid}/stat").rpartition(") ")[2].split()


def _groups(root: Path, pid: int | None) -> Iterator[tuple[_Kind, Path]]:
    """The groups of a process and those above them, innermost first for each kind."""
    lines = [line.split(":", 2) for line in _text(root / f"proc/{pid or 'self'}/cgroup").splitlines()]
    inside = {V2: next((line[2] for line in lines if len(line) > 2 and not line[1]), None)}
    inside[V1] = next((line[2] for line in lines if len(line) > 2 and "memory" in line[1].split(",")), "/")
    for kind, path in inside.items():
        for top in (root / name for name in kind.tops) if path is not None else ():
            folder = top / str(path).strip("/")
            for place in (folder, *folder.parents):
                if place == top or top in place.parents:
                    yield kind, place


def _limit(kind: _Kind, folder: str) -> int | None:
    found = _number(f"{folder}/{kind.limit}")
    return None if found is None or found >= V1_UNLIMITED else found


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _entry_of(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0)


def _text(path: str | Path, most: int = 65536) -> str:
    """A file's text; "" where there is none, or it may not be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, most).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
