"""Packs: files of chunks. What a reader gets from one is checked against its BLAKE3-256.

    offset 0       magic `CGPACK01`, then 8 zero bytes
    16             the chunks, one after the other
    …              the index: JSON list of [chunk hash, offset, length]
    end − 48       length of the index, 8 bytes little-endian
    end − 40       BLAKE3-256 of all bytes before it; its hex is the pack's name
    end − 8        magic `CGPACKEN`
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from colab_guard.errors import StoreDamaged
from colab_guard.store.disk import TEMPORARY, write_whole
from colab_guard.store.names import CHUNK_BYTES, open_plain

MAGIC = b"CGPACK01" + bytes(8)
END = b"CGPACKEN"
TAIL = 8 + 32 + len(END)


def digest(data: bytes | bytearray | memoryview) -> str:
    return blake3(data).hexdigest()


def chunks_of(data: bytes | bytearray | memoryview) -> Iterator[memoryview]:
    """`data` in blocks of 1 MiB from its own start, so that equal data gives equal chunks wherever it lies."""
    view = memoryview(data).cast("B")
    for start in range(0, len(view), CHUNK_BYTES):
        yield view[start : start + CHUNK_BYTES]


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack on disk, its index read and checked."""

    path: Path
    id: str
    size: int
    index: dict[str, tuple[int, int]]

    def read(self, chunk: str) -> bytes:
        """One chunk; StoreDamaged if its bytes are not what its name says."""
        offset, length = self.index[chunk]
        try:
            with open_plain(self.path) as file:
                file.seek(offset)
                data = file.read(length)
        except OSError as error:
            raise StoreDamaged(f"pack {self.id[:12]} cannot be read: {error}") from error
        if digest(data) != chunk:
            raise StoreDamaged(f"pack {self.id[:12]}: a chunk of {length} bytes at {offset} is damaged")
        return data


def write_pack(folder: Path, chunks: Iterable[tuple[str, memoryview]]) -> Pack:
    """Write a pack of (hash, bytes) into `folder`, whole and synced."""
    pieces: list[bytes | memoryview] = [MAGIC]
    index: dict[str, tuple[int, int]] = {}
    offset = len(MAGIC)
    for name, data in chunks:
        index[name] = (offset, len(data))
        pieces.append(data)
        offset += len(data)
    listing = json.dumps([[name, *where] for name, where in index.items()], separators=(",", ":")).encode()
    pieces += [listing, len(listing).to_bytes(8, "little")]
    hasher = blake3()
    for piece in pieces:
        hasher.update(piece)
    path = folder / f"{hasher.hexdigest()}.pack"
    pieces += [hasher.digest(), END]
    write_whole(path, pieces)
    return Pack(path, hasher.hexdigest(), sum(len(piece) for piece in pieces), index)


def packs_in(folder: Path) -> list[Path]:
    """The packs that are whole under their names; not what a killed writer left half written."""
    return [path for path in folder.glob("*.pack") if not path.name.startswith(TEMPORARY)]


def open_pack(path: Path) -> Pack:
    """Read a pack's index; StoreDamaged if the file is missing, short, or is not what its name says."""
    name = path.name.removesuffix(".pack")
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(len(MAGIC))
            file.seek(max(size - TAIL, 0))
            tail = file.read(TAIL)
            listed = int.from_bytes(tail[:8], "little")
            if head != MAGIC or tail[40:] != END or tail[8:40].hex() != name or listed > size - TAIL - len(MAGIC):
                raise StoreDamaged(f"pack {name[:12]} is cut short or damaged")
            file.seek(size - TAIL - listed)
            listing = file.read(listed)
    except OSError as error:
        raise StoreDamaged(f"pack {name[:12]} is missing or cannot be read: {error}") from error
    try:
        index = {str(chunk): (int(offset), int(length)) for chunk, offset, length in json.loads(listing)}
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreDamaged(f"the index of pack {name[:12]} is damaged") from error
    end = size - TAIL - listed
    if not all(offset >= len(MAGIC) and 0 <= length <= CHUNK_BYTES and offset + length <= end for offset, length in index.values()):
        raise StoreDamaged(f"the index of pack {name[:12]} leads out of the pack")
    return Pack(path, name, size, index)


def verify_pack(path: Path) -> None:
    """Read every byte of a pack; StoreDamaged if any is not as written."""
    pack = open_pack(path)
    hasher = blake3()
    left = pack.size - len(END) - 32
    with open_plain(path) as file:
        while left:
            piece = file.read(min(left, 4 * CHUNK_BYTES))
            if not piece:
                break
            hasher.update(piece)
            left -= len(piece)
    if hasher.hexdigest() != pack.id:
        raise StoreDamaged(f"pack {pack.id[:12]} is damaged")
