"""The chunks of a commit that is being written: which are known already, and where the others go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colab_guard.store.packs import chunks_of, digest, write_pack
from colab_guard.store.types import BufferDraft, Bytes

MOST_PACKS = 32
"""A commit whose state lies in more packs than this writes the small ones' chunks anew."""
LARGE_PACK = 8 * 2**20


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

    def packs(self) -> set[str]:
        return set(self._chunks)

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


class Writing:
    """The chunks of one commit on their way into at most two packs: one for state, one for what a unit saved."""

    def __init__(self, folder: Path, known: KnownByRole, version: int) -> None:
        self._folder = folder
        self._version = version
        self._chunks = known
        self.written: set[str] = set()
        self._fresh: dict[bool, dict[str, memoryview]] = {False: {}, True: {}}
        self.stamped: dict[object, list[str]] = {}
        """The names of the chunks of buffers that have a stamp."""
        self.bytes_new = 0
        self._usable = self._packs_worth_keeping()

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
        names = []
        size = 0
        for number, chunk in enumerate(chunks_of(data)):
            name = digest(chunk) if known is None else known[number]
            names.append(name)
            size += len(chunk)
            if self._known(name, unit) is None:
                self._fresh[unit].setdefault(name, chunk)
        return {"size": size, "chunks": names, "unit": unit}

    def file(self, path: Path, *, unit: bool = False) -> dict[str, Any]:
        return {**self.entry(path.read_bytes(), unit=unit), "mode": path.stat().st_mode & 0o777}

    def flush(self, *, unit: bool) -> None:
        fresh = self._fresh[unit]
        if not fresh:
            return
        pack = write_pack(self._folder, fresh.items(), self._version)
        self.bytes_new += pack.size
        self.written.add(pack.id)
        for chunk in fresh:
            self._chunks.of(unit).add(chunk, pack.id)
        if self._usable is not None:
            self._usable.add(pack.id)
        fresh.clear()

    def where(self, chunk: str, unit: bool) -> str:
        pack = self._known(chunk, unit)
        assert pack is not None
        return pack

    def _known(self, chunk: str, unit: bool) -> str | None:
        for role in (True,) if unit else (False, True):
            pack = self._chunks.of(role).where(chunk)
            if pack is not None and (role or self._usable is None or pack in self._usable):
                return pack
        return None

    def _packs_worth_keeping(self) -> set[str] | None:
        """None for all; where state is scattered over many packs, the large ones only."""
        packs = self._chunks.state.packs()
        if len(packs) <= MOST_PACKS:
            return None
        return {name for name in packs if (self._folder / f"{name}.pack").stat().st_size >= LARGE_PACK}
