"""A faulty mirror: a `Place` around another one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from colab_guard.store.faults.plan import Faults
from colab_guard.store.mirror.place import Moved, Place, Receipt, Traits, go_on


class FaultyPlace:
    """`below`, with the faults of a plan.

    With `faults.queued` it is like Drive's mount: what is sent is kept by this machine, listed and read from there, until
    `upload` brings it to `below`, in whatever order the caller names. `proof`: what it claims to prove of each file.
    """

    def __init__(self, below: Place, faults: Faults, *, proof: str | None = None) -> None:
        self.below = below
        self.faults = faults
        self._proof = proof
        self._cache: dict[str, bytes] = {}
        self._waiting: dict[str, bytes] = {}
        self._hidden: dict[str, int] = {}

    @property
    def name(self) -> str:
        return f"faulty {self.below.name}"

    @property
    def traits(self) -> Traits:
        return self.below.traits

    @property
    def waiting(self) -> list[str]:
        """What was sent and is not uploaded, oldest first."""
        return list(self._waiting)

    def upload(self, *names: str) -> None:
        """Bring these files (all, if none is named) to the far side, in that order."""
        for name in names or tuple(self._waiting):
            self.below.make_folders([name.rpartition("/")[0] or "."])
            self.below.write(name, self._waiting.pop(name))

    def lose_machine(self) -> None:
        """The machine is gone, and with it all that was not uploaded, and the cache."""
        self._waiting.clear()
        self._cache.clear()

    def names(self, part: str) -> dict[str, int]:
        self.faults.before("list", part)
        found = self.below.names(part)
        found.update({name.rpartition("/")[2]: len(data) for name, data in self._waiting.items() if name.startswith(f"{part}/")})
        for name in [name for name in found if self._hidden.get(f"{part}/{name}", 0) > 0]:
            self._hidden[f"{part}/{name}"] -= 1
            del found[name]
        return found

    def size(self, name: str) -> int | None:
        self.faults.before("size", name)
        if self._hidden.get(name, 0) > 0:
            return None
        if self.faults.cached_reads and name in self._cache:
            return len(self._cache[name])
        return len(self._waiting[name]) if name in self._waiting else self.below.size(name)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self.faults.before("read", name)
        if self._hidden.get(name, 0) > 0:
            raise FileNotFoundError(name)
        kept = self._cache.get(name) if self.faults.cached_reads else None
        kept = self._waiting.get(name) if kept is None else kept
        if kept is None:
            return self.below.read(name, start, length)
        return kept[start : None if length is None else start + length]

    def send(self, source: Path, name: str, moved: Moved = go_on) -> Receipt | None:
        moved()
        self.faults.before("send", name)
        data = source.read_bytes()
        self._store(name, data, moved)
        return None if self._proof is None else Receipt(self._proof, by_content=False)

    def receipt(self, source: Path, name: str, moved: Moved = go_on) -> Receipt | None:
        return None if self._proof is None else Receipt(self._proof, by_content=False)

    def write(self, name: str, data: bytes) -> None:
        self.faults.before("write", name)
        self._store(name, data, go_on)

    def _store(self, name: str, data: bytes, moved: Moved) -> None:
        faults = self.faults
        if faults.cached_reads:
            self._cache[name] = data
        if faults.short is not None:
            data = data[: int(len(data) * faults.short)]
        if faults.unseen:
            self._hidden[name] = faults.unseen
        if faults.queued:
            self._waiting[name] = data
            return
        twice = faults.duplicates and self.below.size(name) is not None
        with tempfile.TemporaryDirectory(prefix="colab_guard-") as made:
            source = Path(made) / "file"
            source.write_bytes(data)
            faults.before("rename", name)
            moved()
            self.below.send(source, f"{name} (1)" if twice else name, moved)

    def remove(self, name: str) -> None:
        self.faults.before("remove", name)
        self._waiting.pop(name, None)
        self._cache.pop(name, None)
        self.below.remove(name)

    def make_folders(self, parts: Iterable[str]) -> None:
        self.below.make_folders(parts)

    def free_bytes(self) -> int | None:
        return self.below.free_bytes()
