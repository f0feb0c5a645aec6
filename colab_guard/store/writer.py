"""Writing a store: the lease, commits, retention."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from colab_guard.clock import Clock, SystemClock
from colab_guard.errors import ForeignStore, GuardError, StoreInUse, UserMistake
from colab_guard.store import disk
from colab_guard.store.leases import Lease, Owner, one_at_a_time, release, write_lease
from colab_guard.store.packs import chunks_of, digest, write_pack
from colab_guard.store.records import write_record
from colab_guard.store.types import Bytes, CommitDraft, CommitRecord, Identity, Loaded, PassedOver
from colab_guard.store.view import FORMAT_NAME, FORMAT_VERSION, StoreView, state_packs, unit_packs

KEPT_COMMITS = 2
MOST_PACKS = 32
"""A commit whose state lies in more packs than this writes the small ones' chunks anew."""
LARGE_PACK = 8 * 2**20
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)

_open_here: set[Path] = set()


class Store(StoreView):
    """A store that this process may write. Made by `Store.open`; `close` gives the lease back."""

    def __init__(self, path: Path, identity: Identity, clock: Clock) -> None:
        super().__init__(path)
        self.identity = identity
        self._clock = clock
        self._pid = os.getpid()
        self._lease: Lease | None = None
        self._lease_path: Path | None = None
        self._seq = 0
        self._parent: str | None = None
        self._known: dict[bool, dict[str, str]] = {False: {}, True: {}}
        """Chunk → pack, of state and of what units saved; only chunks that this process wrote or verified."""
        self._bad: set[str] = set()

    @classmethod
    def view(cls, path: Path) -> StoreView:
        """Look at a store without a lease; writes nothing."""
        return StoreView(path)

    @classmethod
    def open(
        cls, path: Path, identity: Identity, *, clock: Clock | None = None, take_over: bool = False
    ) -> Store:
        """Open (or make) the store at `path` for writing; takes the lease."""
        try:
            for folder in (path, path / "packs", path / "commits", path / "leases"):
                disk.make_folder(folder)
            if not (path / "FORMAT").exists():
                if any((path / "commits").iterdir()):
                    raise ForeignStore(f"{path} holds commits but no FORMAT; it was damaged or is no store")
                disk.write_whole(path / "FORMAT", [f"{FORMAT_NAME} {FORMAT_VERSION}\n".encode()])
        except OSError as error:
            raise UserMistake(
                f"the local store {path} cannot be written ({error.strerror or error}); set COLAB_GUARD_HOME to a folder "
                "that can be"
            ) from error
        store = cls(path, identity, clock or SystemClock())
        with one_at_a_time(path / "FORMAT"):
            store._take_lease(take_over)
        store._tidy()
        return store

    @property
    def generation(self) -> int:
        assert self._lease is not None
        return self._lease.generation

    # lease

    def _take_lease(self, take_over: bool) -> None:
        leases = self.leases
        newest = leases[-1] if leases else None
        if newest is not None:
            self._check_free(newest, take_over)
            self._check_notebook(newest, take_over)
        records = self.commits()
        places = [(record.generation, record.seq) for record in records]
        # records that cannot be read keep their numbers
        places += [(int(p.commit[:8]), int(p.commit[9:19])) for p in self.problems]
        last = max(places, default=None)
        self._begin((newest.generation if newest else 0) + 1, last)
        self._parent = records[0].id if records else None

    def _begin(self, generation: int, continues: tuple[int, int] | None) -> None:
        self._lease = Lease(generation, Owner.me(), self.identity.notebook, continues, self._clock.time())
        self._lease_path = write_lease(self.path / "leases", self._lease)
        self._seq = max(self._seq, continues[1] if continues else 0)
        _open_here.add(self.path.resolve())

    def _check_free(self, lease: Lease, take_over: bool) -> None:
        if lease.released or take_over or not lease.owner.lives():
            return
        if lease.owner.pid == os.getpid() and self.path.resolve() not in _open_here:
            return
        who = "this kernel" if lease.owner.pid == os.getpid() else f"a living process (pid {lease.owner.pid})"
        raise StoreInUse(
            f"{self.identity.name!r} is being written by {who}; stop it (colab-guard stop {self.identity.name}), use another "
            "NAME, or --take-over"
        )

    def _check_notebook(self, lease: Lease, take_over: bool) -> None:
        mine, theirs = self.identity.notebook, lease.notebook
        if mine and theirs and mine != theirs and not take_over:
            raise ForeignStore(
                f"{self.identity.name!r} belongs to the notebook {theirs}, this one is {mine}; use another NAME, "
                "or --take-over to adopt its work"
            )

    def close(self) -> None:
        """Give the lease back."""
        _open_here.discard(self.path.resolve())
        if self._lease_path is not None and os.getpid() == self._pid and self.holds():
            release(self._lease_path)
        self._lease_path = None

    def holds(self) -> bool:
        """Whether no newer generation has taken over."""
        newest = self.leases[-1]
        return self._lease is not None and newest.generation == self._lease.generation

    def clear(self) -> None:
        """Forget all commits: a new generation that continues from none, then the files go."""
        with one_at_a_time(self.path / "FORMAT"):
            self._begin(self.generation + 1, None)
        self._parent = None
        self._tidy()

    # commits

    def commit(self, draft: CommitDraft) -> CommitRecord:
        """Write a commit; blocks until it survives a power loss. After ENOSPC once more, with older state collected."""
        if os.getpid() != self._pid:
            raise GuardError("a forked child never commits")
        if not self.holds():
            raise StoreInUse(f"{self.identity.name!r} was taken over by another process; this one commits no more")
        try:
            record = self._commit(draft)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            self._collect(keep=1)
            record = self._commit(draft)
        self._collect()
        return record

    def _commit(self, draft: CommitDraft) -> CommitRecord:
        writing = _Writing(self)
        parts = {name: writing.entry(data) for name, data in draft.parts.items()}
        buffers = [
            {
                "key": b.key,
                "dtype": b.dtype,
                "shape": list(b.shape),
                "stride": list(b.stride),
                "label": b.label,
                **writing.entry(b.data),
            }
            for b in draft.buffers
        ]
        files = {name: writing.file(path) for name, path in draft.files.items()}
        writing.flush(unit=False)
        unit_files = {name: writing.file(path, unit=True) for name, path in draft.unit_files.items()}
        writing.flush(unit=True)
        entries = [*parts.values(), *buffers, *files.values(), *unit_files.values()]
        for entry in entries:
            unit = entry.pop("unit")
            entry["packs"] = [writing.where(chunk, unit) for chunk in entry["chunks"]]
        self._seq += 1
        record = write_record(
            self.path / "commits",
            self.generation,
            self._seq,
            {
                "format": FORMAT_VERSION,
                "generation": self.generation,
                "seq": self._seq,
                "kind": draft.kind,
                "created": self._clock.time(),
                "parent": self._parent,
                "name": self.identity.name,
                "notebook": self.identity.notebook,
                "cell": self.identity.cell,
                "position": dict(draft.position),
                "meta": dict(draft.meta),
                "parts": parts,
                "buffers": buffers,
                "files": files,
                "unit": None if draft.unit is None else dict(draft.unit),
                "unit_files": unit_files,
                "bytes_total": sum(entry["size"] for entry in entries),
                "bytes_new": writing.bytes_new,
            },
        )
        self._parent = record.id
        return record

    # retention

    def retained(self, keep: int = KEPT_COMMITS) -> tuple[list[CommitRecord], list[CommitRecord]]:
        """Commits whose state is kept, and unit ends of which the record and what it saved is kept."""
        records = [record for record in self.commits() if record.id not in self._bad]
        whole = records[:keep]
        for kind in ("unit", "cell"):
            newest = next((record for record in records if record.kind == kind), None)
            if newest is not None and newest not in whole:
                whole.append(newest)
        return whole, self.units()

    def _collect(self, keep: int = KEPT_COMMITS) -> None:
        """Remove records first, then packs that nothing kept needs."""
        whole, units = self.retained(keep)
        names = {record.id for record in [*whole, *units]}
        damaged = {problem.commit for problem in self.problems}
        for path in (self.path / "commits").glob("*.json"):
            name = path.name.removesuffix(".json")
            if name not in names and name not in damaged:
                path.unlink(missing_ok=True)
        needed = set().union(*(state_packs(r) | unit_packs(r) for r in whole), *(unit_packs(r) for r in units))
        for path in (self.path / "packs").glob("*.pack"):
            if path.name.removesuffix(".pack") not in needed:
                self._forget_pack(path)

    def _forget_pack(self, path: Path) -> None:
        name = path.name.removesuffix(".pack")
        for known in self._known.values():
            for chunk in [chunk for chunk, pack in known.items() if pack == name]:
                del known[chunk]
        self._packs.pop(name, None)
        path.unlink(missing_ok=True)

    def _tidy(self) -> None:
        """After taking the lease: leftovers of killed writers go, and packs that nothing needs."""
        for folder in (self.path, *(self.path / part for part in ("packs", "commits", "leases"))):
            disk.remove_leftovers(folder)
        self._known = {False: {}, True: {}}
        self._collect()

    def newest(self) -> tuple[Loaded | None, list[PassedOver]]:
        """As in a view; what was verified need not be stored again, and what was not counts no more for retention."""
        loaded, passed = super().newest()
        self._bad |= {step.commit for step in passed}
        if loaded is not None:
            raw = loaded.record.raw
            for entry in (*raw["parts"].values(), *raw["buffers"], *raw["files"].values()):
                self._known[False].update(zip(entry["chunks"], entry["packs"], strict=True))
        return loaded, passed


class _Writing:
    """The chunks of one commit on their way into at most two packs: one for state, one for what a unit saved."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fresh: dict[bool, dict[str, memoryview]] = {False: {}, True: {}}
        self.bytes_new = 0
        self._usable = self._packs_worth_keeping()

    def entry(self, data: Bytes, *, unit: bool = False) -> dict[str, Any]:
        names = []
        size = 0
        for chunk in chunks_of(data):
            name = digest(chunk)
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
        pack = write_pack(self._store.path / "packs", fresh.items())
        self.bytes_new += pack.size
        self._store._known[unit].update(dict.fromkeys(fresh, pack.id))
        if self._usable is not None:
            self._usable.add(pack.id)
        fresh.clear()

    def where(self, chunk: str, unit: bool) -> str:
        pack = self._known(chunk, unit)
        assert pack is not None
        return pack

    def _known(self, chunk: str, unit: bool) -> str | None:
        for role in (True,) if unit else (False, True):
            pack = self._store._known[role].get(chunk)
            if pack is not None and (role or self._usable is None or pack in self._usable):
                return pack
        return None

    def _packs_worth_keeping(self) -> set[str] | None:
        """None for all; where state is scattered over many packs, the large ones only."""
        packs = set(self._store._known[False].values())
        if len(packs) <= MOST_PACKS:
            return None
        folder = self._store.path / "packs"
        return {name for name in packs if (folder / f"{name}.pack").stat().st_size >= LARGE_PACK}
