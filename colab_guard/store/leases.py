"""Who writes: one immutable file for each generation; the newest generation holds.

A lease says which commit its generation continues from. Readers count an older generation's commits only up to there:
what a displaced writer still writes is never read. A holder on this machine is dead when its process is (process id,
start time and boot id); then the lease is taken over at once.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from colab_guard.errors import StoreDamaged
from colab_guard.store.disk import write_whole
from colab_guard.store.names import is_moment, read_plain
from colab_guard.store.packs import digest
from colab_guard.store.signing import mark as mark_of
from colab_guard.store.signing import opened, signed, the_key
from colab_guard.store.types import PassedOver

LEASE_NAME = re.compile(r"^(\d{8})-([0-9a-f]{16})\.json$")
MARK = re.compile(r"released(?: (\d{1,8}) (\d{1,10}))?( [0-9a-f]{16})?\n")
"""The digits at the end were not there in the first version."""
LAST_GENERATION = 99_999_999
RELEASED = ".released"
START_FIELD = 22 - 3
"""Its place after the name, which stands in brackets and may hold anything."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Place = tuple[int, int]
"""(generation, seq) of a commit: its order within a store."""
NONE: Place = (-1, -1)
ENDLESS = 10**10
"""More than a seq of ten digits."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: id, start time (seconds since the epoch), boot id and host name; its start in ticks since that boot, where known."""

    pid: int
    started: float
    boot: str
    host: str
    ticks: int | None = None

    @classmethod
    def me(cls) -> Owner:
        boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
        pid = os.getpid()
        return cls(pid, psutil.Process().create_time(), boot, socket.gethostname(), start_ticks(pid))

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine since the same boot."""
        me = self.me()
        return (self.boot, self.host) == (me.boot, me.host)

    def words(self) -> str:
        """What a person calls a living process of this machine."""
        return "this kernel" if self.pid == os.getpid() else f"a living process (pid {self.pid})"

    def lives(self) -> bool:
        """Whether that process still runs on this machine, since the same boot."""
        if not self.is_here:
            return False
        try:
            process = psutil.Process(self.pid)
            # a killed process whose parent has not looked yet is a zombie: it writes no more
            return process.status() != psutil.STATUS_ZOMBIE and self._began_with(process)
        except psutil.Error:
            return False

    def _began_with(self, process: psutil.Process) -> bool:
        """Whether it is `process`, and not another of its number. Who sets the clock moves all times since the epoch."""
        ticks = start_ticks(self.pid)
        if self.ticks is not None and ticks is not None:
            return ticks == self.ticks
        return bool(abs(process.create_time() - self.started) < 0.05)


def start_ticks(pid: int) -> int | None:
    """When a process began, in clock ticks since boot (proc(5), field 22 of `stat`); None where that cannot be known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[START_FIELD])
    except (OSError, ValueError, IndexError):
        return None


@dataclass(frozen=True, slots=True)
class Lease:
    """A generation's claim. `continues` is the place of the commit it goes on from; None: it begins anew."""

    generation: int
    owner: Owner
    notebook: str
    continues: Place | None
    created: float
    released: bool = False
    last: Place | None = None
    """The last commit, where the lease was given back and says so."""


def read_leases(folder: Path) -> tuple[list[Lease], list[PassedOver]]:
    """All leases of a store that can be read, oldest first; and those that cannot, with the reason."""
    files: dict[str, bytes | Exception] = {}
    for path in _files(folder):
        if path.suffix in (".json", RELEASED) and not path.name.startswith("."):
            try:
                files[path.name] = read_plain(path)
            except (OSError, StoreDamaged) as error:
                files[path.name] = error
    return leases_among(files)


def leases_among(files: Mapping[str, bytes | Exception]) -> tuple[list[Lease], list[PassedOver]]:
    """As `read_leases`, of files by name: their bytes, or why they cannot be read."""
    found, damaged = [], []
    for name in sorted(files):
        match = LEASE_NAME.match(name)
        if match is None:
            continue
        stem = name.removesuffix(".json")
        try:
            data = files[name]
            if isinstance(data, Exception):
                raise StoreDamaged(str(data))
            if digest(data)[:16] != match[2]:
                raise StoreDamaged("the lease is cut short or damaged")
            lease = _decode(opened(data, "it"), int(match[1]))
            mark = files.get(stem + RELEASED)
            if mark is None:
                found.append(lease)
                continue
            given_back = _given_back(stem, mark)
            found.append(replace(lease, released=True, last=given_back[0] if given_back is not None else None))
            if given_back is None:
                damaged.append(PassedOver(stem, "what says that the lease was given back is damaged, or not signed"))
        except (StoreDamaged, ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
            damaged.append(PassedOver(stem, f"the lease cannot be used: {error}"))
    return found, damaged


def newest_generation(path: Path) -> int:
    """The highest generation that a lease of the store at `path` claims, be it damaged; 0 for none."""
    return max((int(m[1]) for p in _files(path / "leases") if (m := LEASE_NAME.match(p.name))), default=0)


def _files(folder: Path) -> list[Path]:
    """What is in a folder, by name; a folder that cannot be listed is an error, never an empty one."""
    try:
        return sorted(folder / name for name in os.listdir(folder))
    except FileNotFoundError:
        return []


def write_lease(folder: Path, lease: Lease) -> Path:
    content = {**asdict(lease), "continues": list(lease.continues) if lease.continues else None}
    content.pop("released")
    content.pop("last")
    data = signed(dict(sorted(content.items())))
    path = folder / f"{lease.generation:08d}-{digest(data)[:16]}.json"
    write_whole(path, [data])
    return path


def release(path: Path, last: Place | None) -> None:
    """Give the lease at `path` back; `last` is the place of the last commit that was written under it."""
    write_whole(path.with_suffix(RELEASED), [mark_line(path.stem, last).encode()])


def mark_line(lease: str, last: Place | None) -> str:
    """What the file says by which the lease of that name is given back."""
    text = "released" if last is None else f"released {last[0]} {last[1]}"
    return f"{text} {mark_of(f'{lease} {text}')}\n"


def _given_back(lease: str, mark: bytes | Exception) -> tuple[Place | None] | None:
    """The last commit's place that a mark tells (or None, where there was none); None for a mark that is not as written."""
    if isinstance(mark, Exception):
        return None
    line = mark.decode("ascii", "replace")
    match = MARK.fullmatch(line)
    if match is None:
        return None
    last = None if match[1] is None else (int(match[1]), int(match[2]))
    proved = line == mark_line(lease, last) if match[3] is not None else the_key() is None
    return (last,) if proved else None


def last_that_counts(generation: int, leases: list[Lease]) -> Place:
    """The last place up to which commits of `generation` count: what it wrote while it held."""
    last: Place = (generation, ENDLESS)
    for lease in leases:
        if lease.generation > generation:
            last = min(last, lease.continues or NONE)
    return last


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Only one process of this machine is inside, for a given file."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # closing it is not enough where a child was forked meanwhile


def _decode(content: dict[str, Any], generation: int) -> Lease:
    continues, owner = content["continues"], content["owner"]
    if content["generation"] != generation:
        raise StoreDamaged("the lease does not belong to its name")
    if not is_moment(content["created"]):
        raise StoreDamaged("the lease is of no time that can be")
    place = None if continues is None else (int(continues[0]), int(continues[1]))
    known = Owner(int(owner["pid"]), float(owner["started"]), str(owner["boot"]), str(owner["host"]))
    if owner.get("ticks") is not None:
        known = replace(known, ticks=int(owner["ticks"]))
    return Lease(generation, known, str(content["notebook"]), place, float(content["created"]))
