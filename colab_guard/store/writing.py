"""The chunks of a commit that is being written: which are known already, and where the others go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colab_guard.store.packs import Chunk, bytes_of, chunks_of, digest, write_pack
from colab_guard.store.pieces import chunks_in, stamp_of
from colab_guard.store.types import BufferDraft, Bytes

MOST_PACKS = 32
"""A commit whose state lies in more packs than this writes the small ones' chunks anew."""
LARGE_PACK = 8 * 2**20
MOST_WASTE = 0.5
"""How much the packs of a state may hold that it does not need, in sizes of the state; less than a large pack is no matter."""


class Known:
    """Which pack holds a chunk; and what a pack holds, so that forgetting one costs what it holds and no more."""

    def __init__(self) -> None:
        self._packs: dict[str, str] = {}
        self._chunks: dict[str, list[str]] = {}

    def add(self, chunk: str, pack: str) -> None:
        if self._packs.get(chunk) != pack:
            self._packs[chunk] = pack
            self._chunks.setdefault(pack, []).append(chunk)

    def where(self, chunk: str) -> str | None:
        return self._packs.get(chunk)

    def forget(self, pack: str) -> None:
        for chunk in self._chunks.pop(pack, ()):
            if self._packs.get(chunk) == pack:
                del self._packs[chunk]

    def __len__(self) -> int:
        return len(self._packs)


@dataclass(frozen=True, slots=True)
class KnownByRole:
    """What is known of state, and of what units saved."""

    state: Known = field(default_factory=Known)
    units: Known = field(default_factory=Known)

    def of(self, unit: bool) -> Known:
        return self.units if unit else self.state


def packs_to_leave(needed: Mapping[str, int], sizes: Mapping[str, int], new: int) -> set[str]:
    """Packs of which a commit needs so little that it is better written anew; both are bytes by pack, `new` those in none.

    What changes at each commit lies beside what does not, and one small chunk would keep a pack with a whole state in it
    for ever. So where there is too much that is not needed, packs that are not half needed are left: what is written anew
    is never more than what becomes free.
    """
    waste = sum(sizes[pack] - needed[pack] for pack in needed)
    wasteful = waste > max(LARGE_PACK, MOST_WASTE * (sum(needed.values()) + new))
    scattered = len(needed) > MOST_PACKS
    return {
        pack
        for pack, size in sizes.items()
        if (wasteful and needed[pack] < size / 2) or (scattered and size < LARGE_PACK)
    }


class Writing:
    """The chunks of one commit on their way into at most three packs.

    One is for state, one for state that is written anew (it did not change lately, and lies apart from what does), and
    one for what a unit saved.
    """

    def __init__(self, folder: Path, known: KnownByRole, version: int) -> None:
        self._folder = folder
        self._version = version
        self._chunks = known
        self.written: set[str] = set()
        self._fresh: dict[bool, dict[str, Chunk]] = {False: {}, True: {}}
        self._met: dict[str, dict[str, Chunk]] = {}
        """Chunks of state that packs hold already, by pack."""
        self.stamped: dict[object, list[str]] = {}
        """The names of the chunks of buffers and files that have a stamp."""
        self.bytes_new = 0

    def buffer(self, draft: BufferDraft, known: Mapping[object, list[str]]) -> dict[str, Any]:
        """The entry of a buffer; `known`: names of chunks by the stamps of buffers that were written before."""
        stamp = draft.source.stamp if draft.source is not None else None
        names = known.get(stamp) if stamp is not None else None
        entry = self.entry(draft.data, names)
        if stamp is not None:
            self.stamped[stamp] = entry["chunks"]
        return entry

    def entry(self, data: Bytes, known: Sequence[str] | None = None, *, unit: bool = False) -> dict[str, Any]:
        """`known` are the names of the chunks of `data`, where they are known."""
        return self._entry(chunks_of(data), known, unit=unit)

    def _entry(self, chunks: Iterable[Chunk], known: Sequence[str] | None, *, unit: bool) -> dict[str, Any]:
        names = []
        size = 0
        for number, chunk in enumerate(chunks):
            name = digest(bytes_of(chunk)) if known is None else known[number]
            names.append(name)
            size += len(chunk)
            pack = self._known(name, unit)
            if pack is None:
                self._fresh[unit].setdefault(name, chunk)
            elif not unit and self._chunks.state.where(name) == pack:
                self._met.setdefault(pack, {})[name] = chunk
        return {"size": size, "chunks": names, "unit": unit}

    def file(self, path: Path, known: Mapping[object, list[str]] | None = None, *, unit: bool = False) -> dict[str, Any]:
        """The entry of a file; `known` as for a buffer. What a unit saved is stored once, and is not looked for again."""
        status = path.stat()
        stamp = stamp_of(path, status) if known is not None else None
        names = known.get(stamp) if known is not None and stamp is not None else None
        entry = self._entry(chunks_in(path, status), names, unit=unit)
        if stamp is not None:
            self.stamped[stamp] = entry["chunks"]
        return {**entry, "mode": status.st_mode & 0o777}

    def flush(self, *, unit: bool) -> None:
        """Write what is new; of state also what its packs hold beside too much else."""
        if not unit:
            self._renew()
        self._write(self._fresh[unit], unit)

    def _renew(self) -> None:
        sizes = {pack: path.stat().st_size for pack in self._met if (path := self._folder / f"{pack}.pack").exists()}
        needed = {pack: sum(map(len, self._met[pack].values())) for pack in sizes}
        new = sum(map(len, self._fresh[False].values()))
        left = packs_to_leave(needed, sizes, new) | (self._met.keys() - sizes.keys())  # somebody removed these
        self._write({name: chunk for pack in sorted(left) for name, chunk in self._met[pack].items()}, False)
        self._met.clear()

    def _write(self, chunks: dict[str, Chunk], unit: bool) -> None:
        if not chunks:
            return
        pack = write_pack(self._folder, chunks.items(), self._version)
        self.bytes_new += pack.size
        self.written.add(pack.id)
        for chunk in chunks:
            self._chunks.of(unit).add(chunk, pack.id)
        chunks.clear()

    def where(self, chunk: str, unit: bool) -> str:
        pack = self._known(chunk, unit)
        assert pack is not None
        return pack

    def _known(self, chunk: str, unit: bool) -> str | None:
        for role in (True,) if unit else (False, True):
            pack = self._chunks.of(role).where(chunk)
            if pack is not None:
                return pack
        return None
