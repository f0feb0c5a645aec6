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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from colab_guard.errors import StoreDamaged
from colab_guard.store.disk import write_whole
from colab_guard.store.packs import digest

LEASE_NAME = re.compile(r"^(\d{8})-([0-9a-f]{16})\.json$")
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


def read_leases(folder: Path) -> list[Lease]:
    """All leases of a store, oldest first; a damaged one raises StoreDamaged."""
    found = []
    for path in sorted(folder.glob("*.json")):
        match = LEASE_NAME.match(path.name)
        if match is None:
            continue
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreDamaged(f"lease {path.name} cannot be read: {error}") from error
        if digest(data)[:16] != match[2]:
            raise StoreDamaged(f"lease {path.name} is cut short or damaged")
        found.append(_decode(json.loads(data), path.with_suffix(".released").exists()))
    return found


def write_lease(folder: Path, lease: Lease) -> Path:
    content = {**asdict(lease), "continues": list(lease.continues) if lease.continues else None}
    content.pop("released")
    data = json.dumps(content, sort_keys=True).encode()
    path = folder / f"{lease.generation:08d}-{digest(data)[:16]}.json"
    write_whole(path, [data])
    return path


def release(path: Path) -> None:
    """Give the lease at `path` back."""
    write_whole(path.with_suffix(".released"), [b"released\n"])


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


def _decode(content: dict[str, Any], released: bool) -> Lease:
    continues = content["continues"]
    return Lease(
        content["generation"],
        Owner(**content["owner"]),
        content["notebook"],
        None if continues is None else (continues[0], continues[1]),
        content["created"],
        released,
    )
