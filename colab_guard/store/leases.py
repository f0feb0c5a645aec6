"""Who writes: one immutable file for each generation; the newest generation holds.

A lease says which commit its generation continues from. Readers count an older generation's commits only up to there:
what a displaced writer still writes is never read. A holder on this machine is dead when its process is (process id,
start time and boot id); then the lease is taken over at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from colab_guard.errors import StoreDamaged
from colab_guard.store.disk import write_whole
from colab_guard.store.packs import digest
from colab_guard.store.types import PassedOver

LEASE_NAME = re.compile(r"^(\d{8})-([0-9a-f]{16})\.json$")
RELEASED = ".released"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Place = tuple[int, int]
"""(generation, seq) of a commit: its order within a store."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: id, start time (seconds since the epoch), boot id and host name."""

    pid: int
    started: float
    boot: str
    host: str

    @classmethod
    def me(cls) -> Owner:
        boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
        return cls(os.getpid(), psutil.Process().create_time(), boot, socket.gethostname())

    def lives(self) -> bool:
        """Whether that process still runs on this machine, since the same boot."""
        if (self.boot, self.host) != (self.me().boot, self.me().host):
            return False
        try:
            process = psutil.Process(self.pid)
            # a killed process whose parent has not looked yet is a zombie: it writes no more
            return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.started) < 0.05
        except psutil.Error:
            return False


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
    files: dict[str, bytes | OSError] = {}
    for path in folder.glob("*"):
        if path.suffix in (".json", RELEASED) and not path.name.startswith("."):
            try:
                files[path.name] = path.read_bytes()
            except OSError as error:
                files[path.name] = error
    return leases_among(files)


def leases_among(files: Mapping[str, bytes | OSError]) -> tuple[list[Lease], list[PassedOver]]:
    """As `read_leases`, of files by name: their bytes, or why they cannot be read."""
    found, damaged = [], []
    for name in sorted(files):
        match = LEASE_NAME.match(name)
        if match is None:
            continue
        try:
            data = files[name]
            if isinstance(data, OSError):
                raise StoreDamaged(str(data))
            if digest(data)[:16] != match[2]:
                raise StoreDamaged("the lease is cut short or damaged")
            released = files.get(name.removesuffix(".json") + RELEASED, b"")
            found.append(_decode(json.loads(data), b"" if isinstance(released, OSError) else released))
        except StoreDamaged as error:
            damaged.append(PassedOver(name.removesuffix(".json"), f"the lease cannot be used: {error}"))
    return found, damaged


def newest_generation(path: Path) -> int:
    """The highest generation that a lease of the store at `path` claims, be it damaged; 0 for none."""
    return max((int(m[1]) for p in (path / "leases").glob("*.json") if (m := LEASE_NAME.match(p.name))), default=0)


def write_lease(folder: Path, lease: Lease) -> Path:
    content = {**asdict(lease), "continues": list(lease.continues) if lease.continues else None}
    content.pop("released")
    content.pop("last")
    data = json.dumps(content, sort_keys=True).encode()
    path = folder / f"{lease.generation:08d}-{digest(data)[:16]}.json"
    write_whole(path, [data])
    return path


def release(path: Path, last: Place | None) -> None:
    """Give the lease at `path` back; `last` is the place of the last commit that was written under it."""
    write_whole(path.with_suffix(RELEASED), [released_words(last)])


def released_words(last: Place | None) -> bytes:
    """What the file says by which a lease is given back."""
    place = "" if last is None else f" {last[0]} {last[1]}"
    return f"released{place}\n".encode()


def counts(place: Place, leases: list[Lease]) -> bool:
    """Whether the commit at `place` was written by a generation that held then."""
    for lease in leases:
        if lease.generation <= place[0]:
            continue
        if lease.continues is None or place > lease.continues:
            return False
    return True


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Only one process of this machine is inside, for a given file."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _decode(content: dict[str, Any], released: bytes) -> Lease:
    continues = content["continues"]
    words = released.decode("ascii", "replace").split()
    last = (int(words[1]), int(words[2])) if len(words) == 3 and words[1].isdigit() and words[2].isdigit() else None
    return Lease(
        content["generation"],
        Owner(**content["owner"]),
        content["notebook"],
        None if continues is None else (continues[0], continues[1]),
        content["created"],
        bool(words),
        last,
    )
