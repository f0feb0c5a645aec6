"""A file's chunks, each read when its bytes are wanted: files of the cell may be larger than the memory that is left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from colab_guard.errors import SnapshotRefused
from colab_guard.store.names import CHUNK_BYTES

CLOCK_TICK_NS = 50_000_000
"""Two changes of one file within this time may leave the same stamp."""


@dataclass(frozen=True, slots=True)
class FileChunk:
    """The bytes of a file from `start` on."""

    path: Path
    start: int
    size: int

    def __len__(self) -> int:
        return self.size

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.start)
            data = file.read(self.size)
        if len(data) != self.size:
            raise self.changed()
        return data

    def changed(self) -> SnapshotRefused:
        return SnapshotRefused(f"the file {self.path} was changed while it was stored")


def chunks_in(path: Path, status: os.stat_result) -> Iterator[FileChunk]:
    """The chunks of a file, which are those of its bytes."""
    for start in range(0, status.st_size, CHUNK_BYTES):
        yield FileChunk(path, start, min(CHUNK_BYTES, status.st_size - start))


def stamp_of(path: Path, status: os.stat_result) -> object | None:
    """What stands for a file's bytes: equal again, the same bytes again. None for one that was changed just now."""
    if time.time_ns() - status.st_ctime_ns < CLOCK_TICK_NS:
        return None
    return (str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
