"""Writing a store: the lease, commits, retention."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from colab_guard.clock import Clock, SystemClock
from colab_guard.errors import ForeignStore, GuardError, StoreFull, UserMistake
from colab_guard.store import disk
from colab_guard.store.holding import check_free, check_held, check_notebook
from colab_guard.store.index import whole_of
from colab_guard.store.leases import LAST_GENERATION, Lease, Owner, newest_generation, one_at_a_time, release, write_lease
from colab_guard.store.lineage import place_of
from colab_guard.store.records import write_record
from colab_guard.store.retention import Retention
from colab_guard.store.types import CommitDraft, CommitRecord, Identity, Loaded, PassedOver
from colab_guard.store.view import FOLDERS, FORMAT_NAME, FORMAT_VERSION, KEPT_COMMITS, StoreView, format_of, packs_needed
from colab_guard.store.writing import KnownByRole, Writing

_open_here: set[Path] = set()


class Store(StoreView):
    """A store that this process may write. Made by `Store.open`; `close` gives the lease back."""

    def __init__(self, path: Path, identity: Identity, clock: Clock) -> None:
        super().__init__(path)
        self.identity = identity
        self._index.owner = identity.name
        self._clock = clock
        self._pid = os.getpid()
        self._lease: Lease | None = None
        self._lease_path: Path | None = None
        self._seq = 0
        self._parent: str | None = None
        self._known = KnownByRole()
        """Only chunks that this process wrote or verified."""
        self._retention: Retention | None = None
        """What is kept, once all that is there was looked at; None: look again."""
        self._stamped: dict[object, list[str]] = {}
        """The names of the chunks of the last commit's buffers and files, by their stamps."""
        self._written: set[str] = set()
        """Records and packs that this process wrote."""
        self._pinned: set[str] = set()
        self.not_removed = ""
        """Why what is needed no more could not be removed after the last commit; "" where it could."""
        self._said_by_leases: list[PassedOver] = []
        self._lock = threading.RLock()

    @classmethod
    def view(cls, path: Path) -> StoreView:
        """Look at a store without a lease; writes nothing."""
        return StoreView(path)

    @classmethod
    def open(
        cls, path: Path, identity: Identity, *, clock: Clock | None = None, take_over: bool = False, above: int = 0
    ) -> Store:
        """Open (or make) the store at `path` for writing; takes the lease, of a generation higher than `above`."""
        try:
            folders = [path / part for part in FOLDERS]
            for folder in (path, *folders):
                disk.make_folder(folder)
            if not (path / "FORMAT").exists():
                if any((path / "commits").iterdir()):
                    raise ForeignStore(f"{path} holds commits but no FORMAT; it was damaged or is no store")
                disk.write_whole(path / "FORMAT", [f"{FORMAT_NAME} {FORMAT_VERSION}\n".encode()])
            # who made any of this, here or as a copy of a mirror, may have been killed between a name and its fsync
            for folder in folders:
                disk.sync_folder(folder)
            disk.sync_way_to(path)
            store = cls(path, identity, clock or SystemClock())
            with one_at_a_time(path / "FORMAT"):
                store._take_lease(take_over, above)
            store._tidy()
        except OSError as error:
            what = "free some space there, or " if error.errno in disk.NO_SPACE else ""
            raise UserMistake(
                f"the local store {path} cannot be written ({error.strerror or error}); {what}set COLAB_GUARD_HOME to a folder "
                "that can be"
            ) from error
        return store

    @property
    def generation(self) -> int:
        assert self._lease is not None
        return self._lease.generation

    @property
    def lease_name(self) -> str | None:
        """The name of the own lease's file without its ending; None once it was given back."""
        return None if self._lease_path is None else self._lease_path.stem

    @property
    def last_written(self) -> tuple[int, int] | None:
        """The place of the last commit that this process wrote, of those that were not cleared."""
        return place_of(self._parent) if self._written and self._parent is not None else None

    # lease

    def _take_lease(self, take_over: bool, above: int) -> None:
        leases = self.leases
        newest = leases[-1] if leases else None
        if newest is not None and not take_over:
            check_free(newest, self.identity.name, open_here=self.path.resolve() in _open_here)
            check_notebook(newest, self.identity)
        names = self.standing()
        self._said_by_leases = list(self.lineage)  # the lease that is taken now goes on from what is there
        places = [place_of(name) for name in names[:1]]
        # records that cannot be read keep their numbers
        places += [place_of(problem.commit) for problem in self.problems]
        last = max(places, default=None)
        generation = max(above, newest_generation(self.path)) + 1
        if generation > LAST_GENERATION:
            raise ForeignStore(
                f"the leases of {self.path} are numbered to the end, which no work does by itself; somebody else wrote there: move that "
                "folder away, or use another NAME"
            )
        self._begin(generation, last)
        self._parent = names[0] if names else None

    def _begin(self, generation: int, continues: tuple[int, int] | None) -> None:
        self._lease = Lease(generation, Owner.me(), self.identity.notebook, continues, self._clock.time())
        self._lease_path = write_lease(self.path / "leases", self._lease)
        self._seq = max(self._seq, continues[1] if continues else 0)
        _open_here.add(self.path.resolve())

    def close(self) -> None:
        """Give the lease back."""
        _open_here.discard(self.path.resolve())
        if self._lease_path is not None and os.getpid() == self._pid and self.holds():
            release(self._lease_path, self.last_written)
        self._lease_path = None

    def holds(self) -> bool:
        """Whether no newer generation has taken over."""
        return self._lease is not None and newest_generation(self.path) == self._lease.generation

    def _check_held(self) -> None:
        assert self._lease is not None
        if not self.holds() or not (self.path / "FORMAT").exists():
            check_held(self.path, self._lease, self.identity.name)

    def clear(self) -> None:
        """Forget all commits: a new generation that continues from none, then the files go."""
        self._check_held()
        with one_at_a_time(self.path / "FORMAT"):
            self._check_held()
            self._begin(self.generation + 1, None)
        self._parent = None
        self._tidy()
        self._collect()

    # commits

    def commit(self, draft: CommitDraft) -> CommitRecord:
        """Write a commit; blocks until it survives a power loss. After ENOSPC once more, with older state collected."""
        if os.getpid() != self._pid:
            raise GuardError("a forked child never commits")
        self._check_held()
        try:
            record = self._commit(draft)
        except Exception as error:
            self._retention = None  # what was half written is to go as well
            self._stamped = {}
            if not isinstance(error, OSError) or error.errno not in disk.NO_SPACE:
                with suppress(OSError):  # what went wrong first is told
                    self._collect()
                if isinstance(error, FileNotFoundError):
                    self._check_held()
                raise
            self._collect(keep=1, pinned=False)
            record = self._commit_or_say(draft)
        self._index.add(record)
        try:
            self._collect(added=record)
            self.not_removed = ""
        except OSError as error:  # the commit is saved; what was to go is looked for again at the next one
            self._retention = None
            self.not_removed = f"{type(error).__name__}: {error}"
        return record

    def _commit_or_say(self, draft: CommitDraft) -> CommitRecord:
        try:
            return self._commit(draft)
        except OSError as error:
            if error.errno not in disk.NO_SPACE:
                raise
            raise StoreFull(
                f"no space left for {self.identity.name!r} in {self.path}; the commit before is kept: free some space "
                "there, or set COLAB_GUARD_HOME to a larger disk",
            ) from error

    def _commit(self, draft: CommitDraft) -> CommitRecord:
        version = format_of(self.path)
        writing = Writing(self.path / "packs", self._known, version)
        parts = {name: writing.entry(data) for name, data in draft.parts.items()}
        buffers = [
            {
                "key": b.key,
                "dtype": b.dtype,
                "shape": list(b.shape),
                "stride": list(b.stride),
                "label": b.label,
                **writing.buffer(b, self._stamped),
            }
            for b in draft.buffers
        ]
        files = {name: writing.file(path, self._stamped) for name, path in draft.files.items()}
        writing.flush(unit=False)
        unit_files = {name: writing.file(path, unit=True) for name, path in draft.unit_files.items()}
        writing.flush(unit=True)
        entries = [*parts.values(), *buffers, *files.values(), *unit_files.values()]
        for entry in entries:
            unit = entry.pop("unit")
            entry["packs"] = [writing.where(chunk, unit) for chunk in entry["chunks"]]
        self._seq += 1
        content = {
            "format": version,
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
        }
        record = self._write_record(content)
        self._parent = record.id
        self._stamped = writing.stamped
        self._written |= {record.id, *writing.written}
        return record

    def _write_record(self, content: Mapping[str, Any]) -> CommitRecord:
        """What makes a commit count. A lease is taken under the same lock: who takes over sees the record, or it is not written."""
        with one_at_a_time(self.path / "FORMAT"):
            self._check_held()
            return write_record(self.path / "commits", content["generation"], content["seq"], content)

    # retention

    @contextmanager
    def sending(self) -> Iterator[tuple[list[CommitRecord], list[CommitRecord]]]:
        """What is retained; nothing of it is removed while the block runs, so that a slow mirror can send it."""
        with self._lock:
            whole, units = self.retained()
            self._pinned = {record.id for record in [*whole, *units]} | packs_needed(whole, units)
        try:
            yield whole, units
        finally:
            with self._lock:
                self._pinned = set()

    def _collect(self, keep: int = KEPT_COMMITS, *, pinned: bool = True, added: CommitRecord | None = None) -> None:
        """Remove records first, then packs that nothing kept needs.

        A record or lease that cannot be read (damaged, or signed with another key) may stand for any of what was here
        before: then only what this process wrote itself is removed. Where everything was looked at before, only what the
        commit `added` replaces is.
        """
        if not (self.path / "FORMAT").exists():
            return
        # a lease is taken under the same lock: who was displaced meanwhile removes nothing of the new owner's
        with self._lock, one_at_a_time(self.path / "FORMAT"):
            if not self.holds():
                return
            if added is None or self._retention is None:
                self._collect_all(keep, self._pinned if pinned else set())
            else:
                self._retention.add(added, keep)
                records, packs = self._retention.let_go(self._pinned)
                self._remove(self.path / "commits" / f"{name}.json" for name in records)
                self._remove(self.path / "packs" / f"{name}.pack" for name in packs)

    def _collect_all(self, keep: int, pinned: set[str]) -> None:
        whole, units = self.retained(keep)
        kept = {record.id for record in [*whole, *units]} | {problem.commit for problem in self.problems}
        kept |= packs_needed(whole, units) | pinned
        self._retention = None if self.careful or pinned or keep != KEPT_COMMITS else Retention(whole, units)
        if any(problem.commit in self._written for problem in self.problems):
            return
        there = [folder / name for folder in (self.path / "commits", self.path / "packs") for name in os.listdir(folder)]
        going = [path for path in there if path.stem not in kept and path.suffix in (".json", ".pack")]
        mine = f"{disk.TEMPORARY}{self._pid}-"
        self._remove(p for p in going if p.name.startswith(mine) or (p.name[0] != "." and (not self.careful or p.stem in self._written)))

    def _remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if path.suffix == ".pack":
                self._known.state.forget(path.stem)
                self._known.units.forget(path.stem)
                self._packs.pop(path.stem, None)
            path.unlink(missing_ok=True)

    def _tidy(self) -> None:
        """After taking the lease: leftovers of killed writers go. Packs stay until a commit was written or verified."""
        for folder in (self.path, *(self.path / part for part in ("packs", "commits", "leases"))):
            disk.remove_leftovers(folder)
        self._known = KnownByRole()

    def newest(self) -> tuple[Loaded | None, list[PassedOver]]:
        """As in a view; what was verified need not be stored again, and what was not counts no more for retention.

        Told as well is what was missing before the lease was taken, and every record that cannot be read: it may have
        been a unit's end.
        """
        loaded, passed = super().newest()
        passed = list(dict.fromkeys([*self._said_by_leases, *passed, *self.problems]))
        self._said_by_leases = []
        self._bad |= {step.commit for step in passed}
        self._retention = None
        if loaded is not None:
            raw = whole_of(loaded.record)
            for entry in (*raw["parts"].values(), *raw["buffers"], *raw["files"].values()):
                for chunk, pack in zip(entry["chunks"], entry["packs"], strict=True):
                    self._known.state.add(chunk, pack)
        return loaded, passed
