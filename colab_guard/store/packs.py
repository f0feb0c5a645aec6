"""Packs: files of chunks. What a reader gets from one is checked against its BLAKE3-256.

    offset 0       magic `CGPACK02`, then 8 zero bytes
    16             the chunks, one after the other, without gaps
    …              the index: JSON list of [chunk hash, offset, length]
    end − 48       length of the index, 8 bytes little-endian
    end − 40       BLAKE3-256 of the index and its length; its hex is the pack's name
    end − 8        magic `CGPACKEN`

So every byte is hashed once: those of a chunk by the chunk's name, those names by the pack's. In stores of formats 1 and
2 the magic is `CGPACK01`, and the checksum is that of all bytes before it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from colab_guard.errors import StoreDamaged
from colab_guard.store.disk import LARGE, TEMPORARY, write_whole
from colab_guard.store.names import CHUNK_BYTES, open_plain
from colab_guard.store.pieces import FileChunk

PACK_NAME = re.compile(r"^[0-9a-f]{64}\.pack$")
BY_BYTES = b"CGPACK01" + bytes(8)
BY_INDEX = b"CGPACK02" + bytes(8)
BY_INDEX_SINCE = 4
"""The format of stores from which on the checksum is the index's."""
HEAD = len(BY_INDEX)
END = b"CGPACKEN"
TAIL = 8 + 32 + len(END)
PIECE_BYTES = 4 * CHUNK_BYTES
MOST_INDEX = 2**29
"""Bytes of an index; one of a terabyte of chunks has a hundred million."""
Chunk = memoryview | FileChunk
Read = Callable[[int, int], bytes]
"""Gives so many bytes from an offset on, or fewer where the file ends."""


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


def bytes_of(chunk: Chunk, name: str | None = None) -> bytes | memoryview:
    """A chunk's bytes; `name`: what they were called before, and are still to be."""
    if not isinstance(chunk, FileChunk):
        return chunk
    data = chunk.read()
    if name is not None and digest(data) != name:
        raise chunk.changed()
    return data


def write_pack(folder: Path, chunks: Iterable[tuple[str, Chunk]], version: int) -> Pack:
    """Write a pack of (hash, bytes) into `folder`, whole and synced, as stores of the format `version` have it."""
    by_index = version >= BY_INDEX_SINCE
    head, held = BY_INDEX if by_index else BY_BYTES, list(chunks)
    index: dict[str, tuple[int, int]] = {}
    offset = HEAD
    for name, chunk in held:
        index[name] = (offset, len(chunk))
        offset += len(chunk)
    listing = json.dumps([[name, *where] for name, where in index.items()], separators=(",", ":")).encode()
    ending = [listing, len(listing).to_bytes(8, "little")]

    def contents() -> Iterator[bytes | memoryview]:
        return (bytes_of(chunk, name) for name, chunk in held)

    hasher = blake3()
    for piece in ending if by_index else chain([head], contents(), ending):
        hasher.update(piece)
    path = folder / f"{hasher.hexdigest()}.pack"
    size = offset + len(listing) + TAIL
    write_whole(path, chain([head], contents(), ending, [hasher.digest(), END]), past_cache=size >= LARGE)
    return Pack(path, hasher.hexdigest(), size, index)


def packs_in(folder: Path) -> list[Path]:
    """The packs that are whole under their names; not what a killed writer left half written."""
    return [path for path in folder.glob("*.pack") if not path.name.startswith(TEMPORARY)]


def open_pack(path: Path) -> Pack:
    """Read a pack's index; StoreDamaged if the file is missing, short, or is not what its name says."""
    with _opened(path) as (name, size, file):
        _, index = _index(name, size, _reading(file))
    return Pack(path, name, size, {chunk: (offset, length) for chunk, offset, length in index})


def verify_pack(path: Path) -> None:
    """Read every byte of a pack; StoreDamaged if any is not as written."""
    with _opened(path) as (name, size, file):
        check_pack(name, size, _reading(file), _pieces(file))


def check_pack(name: str, size: int, read: Read, parts: Iterable[bytes]) -> None:
    """StoreDamaged if any byte of a pack of `size` bytes is not as written; `parts` are all of them, asked for at the end."""
    by_index, index = _index(name, size, read)
    if not (_are_chunks(index, parts) if by_index else _is_hash(name, size - 32 - len(END), parts)):
        raise StoreDamaged(f"pack {name[:12]} is damaged")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, int, BinaryIO]]:
    """The pack's name, its bytes, and its file; StoreDamaged where it cannot be read."""
    name = path.name.removesuffix(".pack")
    try:
        with open_plain(path) as file:
            yield name, os.fstat(file.fileno()).st_size, file
    except OSError as error:
        raise StoreDamaged(f"pack {name[:12]} is missing or cannot be read: {error}") from error


def _reading(file: BinaryIO) -> Read:
    def read(offset: int, length: int) -> bytes:
        file.seek(offset)
        return file.read(length)

    return read


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(PIECE_BYTES):
        yield piece


def _index(name: str, size: int, read: Read) -> tuple[bool, list[tuple[str, int, int]]]:
    """What a pack's ends tell: whether its name is the hash of its index alone, and the index; StoreDamaged if not whole."""
    head = read(0, HEAD)
    tail = read(max(size - TAIL, 0), TAIL)
    listed = int.from_bytes(tail[:8], "little")
    end = size - TAIL - listed
    if head not in (BY_BYTES, BY_INDEX) or tail[40:] != END or tail[8:40].hex() != name or end < HEAD or listed > MOST_INDEX:
        raise StoreDamaged(f"pack {name[:12]} is cut short or damaged")
    listing = read(end, listed)
    by_index = head == BY_INDEX
    if by_index and digest(listing + tail[:8]) != name:
        raise StoreDamaged(f"the index of pack {name[:12]} is damaged")
    try:
        index = [(str(chunk), int(offset), int(length)) for chunk, offset, length in json.loads(listing)]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise StoreDamaged(f"the index of pack {name[:12]} is damaged") from error
    if not all(offset >= HEAD and 0 <= length <= CHUNK_BYTES and offset + length <= end for _, offset, length in index):
        raise StoreDamaged(f"the index of pack {name[:12]} leads out of the pack")
    if by_index and [HEAD, *(offset + length for _, offset, length in index)] != [*(offset for _, offset, _ in index), end]:
        raise StoreDamaged(f"the index of pack {name[:12]} leaves bytes out")
    return by_index, index


def _are_chunks(index: Iterable[tuple[str, int, int]], parts: Iterable[bytes]) -> bool:
    """Whether `parts` are a pack's head and then the chunks of `index`."""
    data, rest = bytearray(), iter(parts)
    for name, offset, length in [("", 0, HEAD), *index]:
        while len(data) < length:
            part = next(rest, b"")
            if not part:
                return False
            data += part
        if offset and digest(bytes(data[:length])) != name:
            return False
        del data[:length]
    return True


def _is_hash(name: str, size: int, parts: Iterable[bytes]) -> bool:
    """Whether the first `size` bytes of `parts` have the hash `name`."""
    hasher = blake3()
    for part in parts:
        hasher.update(part[: max(size, 0)])
        size -= len(part)
    return hasher.hexdigest() == name
