"""The seam: where a mirror lies, be it a folder or behind an interface. Nothing here depends on a rename.

Names are relative to the mirror and have at most one folder ("packs/….pack"). Every method may hang for ever, and is
called where it can be left behind; `moved` is called between the pieces of a long one, and raises where it was given up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from colab_guard.errors import StoreDamaged
from colab_guard.store.packs import PIECE_BYTES, Read, check_pack, digest

SYNC_BYTES = 16 * 2**20
"""After so many bytes a folder is synced while it is written to, and tells that it gets on."""
PARTS = ("packs", "commits", "leases")
HASHED = re.compile(r"-([0-9a-f]+)\.json$")
"""The name of a record or a lease, with the hash of its bytes."""
Moved = Callable[[], None]


class NotThereYet(StoreDamaged):
    """A file was sent, and the place does not show it: it may later, or was lost."""


def go_on() -> None:
    """Nobody waits for this call, so that nobody can give it up."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the far side proves of one file. `by_content`: it named a checksum of the bytes; else they are read back."""

    proof: str
    by_content: bool = True


@dataclass(frozen=True, slots=True)
class Traits:
    """What a kind of place bears. `beats`: it can be written every 20 s. `keeps_deleted`: what is deleted still counts as
    used. `least_pause_s`: between two sendings, where no schedule is asked for. `silent_bytes`: so many bytes are sent
    without a sign that they get on."""

    beats: bool = True
    keeps_deleted: bool = False
    least_pause_s: float = 0.0
    silent_bytes: int = SYNC_BYTES


class Place(Protocol):
    """A folder elsewhere. `read` and `size` are of one file; FileNotFoundError, or None, where it is not there."""

    @property
    def name(self) -> str:
        """As people name it."""

    @property
    def traits(self) -> Traits:
        """What it bears."""

    def names(self, part: str) -> dict[str, int]:
        """The files in the folder `part` with their sizes; none where there is no such folder."""

    def size(self, name: str) -> int | None:
        """Bytes."""

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes from `start`."""

    def send(self, source: Path, name: str, moved: Moved = go_on) -> Receipt | None:
        """Bring the file `source` there; what the far side then proves of it."""

    def receipt(self, source: Path, name: str, moved: Moved = go_on) -> Receipt | None:
        """What the far side proves of a file that is there already; StoreDamaged where it is another than `source`."""

    def write(self, name: str, data: bytes) -> None:
        """A small file."""

    def remove(self, name: str) -> None:
        """Nothing happens where it is not there."""

    def make_folders(self, parts: Iterable[str]) -> None:
        """Where the place knows folders."""

    def free_bytes(self) -> int | None:
        """None where it is not known."""


def exists(place: Place, name: str) -> bool:
    return place.size(name) is not None


def pieces(place: Place, name: str, moved: Moved = go_on, piece: int = PIECE_BYTES, read: Read | None = None) -> Iterator[bytes]:
    """A file of the place, piece by piece; `read` stands in for the place's own."""
    read = read or partial(place.read, name)
    start = 0
    while True:
        moved()
        data = read(start, piece)
        if data:
            yield data
        start += len(data)
        if len(data) < piece:
            moved()
            return


def intact(place: Place, name: str, original: Path | None = None, moved: Moved = go_on, lies: str = "") -> bool:
    """Whether a file of the place is what its name says; one that has no hash in its name must equal `original`.

    `lies`: the name under which it lies there, where that is another.
    """
    lies = lies or name
    size = place.size(lies)
    if size is None:
        return False
    if name.endswith(".pack"):
        return _pack_intact(place, name, lies, size, moved)
    data = place.read(lies)
    hashed = HASHED.search(name)
    if hashed is not None:
        return digest(data).startswith(hashed[1])
    return original is not None and original.exists() and data == original.read_bytes()


def _pack_intact(place: Place, name: str, lies: str, size: int, moved: Moved) -> bool:
    parts: Iterable[bytes] = pieces(place, lies, moved)
    read: Read = partial(place.read, lies)
    if size <= PIECE_BYTES:  # one call for all of it
        whole = b"".join(parts)
        parts, read = [whole], lambda start, length: whole[start : start + length]
    try:
        check_pack(Path(name).stem, size, read, parts)
    except StoreDamaged:
        return False
    return True
