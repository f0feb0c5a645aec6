"""Work on a store, recorded: commits, collection, unit ends, take-overs, clearing, kills. Small, so that its states are many."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from colab_guard.store import BufferDraft, CommitDraft, Identity, Store, disk, fetch_from_mirror, packs, writing
from tests.store.crashes.record import Operation, Recorder

ME = Identity("sweep", "/nb/sweep.ipynb", "c0ffee")
SAVED, CLEARING, CLEARED = "saved", "clearing", "cleared"
FIXED = b"frozen weights " * 40
MADE = 5
"""Names that the first opening makes: four folders, and FORMAT."""


@dataclass(frozen=True, slots=True)
class Recording:
    name: str
    operations: list[Operation]
    units: frozenset[int]
    """Numbers of the commits that are a unit's end."""


class Work:
    """Commits with numbers: what a commit must give back follows from its number."""

    def __init__(self, root: Path, recorder: Recorder) -> None:
        self.root = root
        self.recorder = recorder
        self.count = 0
        self.units: set[int] = set()

    def open(self, take_over: bool = False) -> Store:
        store = Store.open(self.root / "store", ME, take_over=take_over)
        store.newest()
        return store

    def commit(self, store: Store, times: int = 1, *, unit: bool = False) -> None:
        for _ in range(times):
            self.count += 1
            files = {}
            if unit:
                self.units.add(self.count)
                path = self.root.parent / f"saved-{self.count}"
                path.write_bytes(saved_file(self.count))
                files = {"adapter.bin": path}
            store.commit(draft(self.count, unit=unit, files=files))
            self.recorder.mark(SAVED, self.count)

    def clear(self, store: Store) -> None:
        self.recorder.mark(CLEARING, self.count)
        store.clear()
        self.recorder.mark(CLEARED, self.count)


def draft(number: int, *, unit: bool = False, files: dict[str, Path] | None = None) -> CommitDraft:
    buffers = [BufferDraft("moving", moving(number)), BufferDraft("fixed", FIXED)]
    told = {"group": "sweep", "key": f"run {number}", "record": {}} if unit else None
    return CommitDraft(
        "unit" if unit else "step",
        {"text": str(number), "depth": 1},
        {"graph": str(number).encode()},
        buffers,
        unit=told,
        unit_files=files or {},
    )


def moving(number: int) -> bytes:
    return f"step {number} ".encode() * 600


def saved_file(number: int) -> bytes:
    return f"adapter {number} ".encode() * 20


def steps(work: Work) -> None:
    """Commits of one writer, with what is older collected."""
    store = work.open()
    work.commit(store, 4)
    store.close()


def sweep(work: Work) -> None:
    """A sweep in two kernels: steps and unit ends, given back and taken up again."""
    store = work.open()
    for _ in range(2):
        work.commit(store)
        work.commit(store, unit=True)
    store.close()
    store = work.open()
    work.commit(store, 2)
    work.commit(store, unit=True)
    store.close()


def take_over(work: Work) -> None:
    """A second writer takes over from one that never gave its lease back."""
    first = work.open()
    work.commit(first, 2)
    second = work.open(take_over=True)
    work.commit(second, 2)
    third = work.open(take_over=True)
    work.commit(third, unit=True)
    third.close()


def begun_again(work: Work) -> None:
    """Everything is forgotten, and new work begins."""
    store = work.open()
    work.commit(store, 2)
    work.commit(store, unit=True)
    work.clear(store)
    work.commit(store, 2)
    store.close()


def fetched(work: Work) -> None:
    """The local store is lost, and brought back from a mirror; then work goes on."""
    fetch_from_mirror(_mirror(work), work.root / "store", ME)
    work.count = 2
    work.recorder.mark(SAVED, work.count)
    store = work.open()
    work.commit(store, 2)
    store.close()


def _mirror(work: Work) -> Path:
    mirror = work.root.parent / f"mirror of {work.root.name}"
    there = Store.open(mirror, ME)
    for number in (1, 2):
        there.commit(draft(number))
    there.close()
    return mirror


class Killed(BaseException):
    """The process ends where this is raised."""


def killed_before_a_sync(action: Callable[[], object], folders: Sequence[str], after: int = 0) -> bool:
    """Whether `action` came to an fsync of `folders`, the first `after` ones not counted: a name is there, and nobody knows for how long."""
    real, syncs = disk.sync_folder, itertools.count()

    def sync(path: Path) -> None:
        if path.name in folders and next(syncs) >= after:
            raise Killed
        real(path)

    with mock.patch.object(disk, "sync_folder", sync), suppress(Killed):
        action()
        return False
    return True


def opening_killed(work: Work) -> None:
    """Kernels die while they make the store, each one step later than the one before; the next one works."""
    for _ in range(MADE):
        assert killed_before_a_sync(work.open, [work.root.name, "store"])
    store = work.open()
    work.commit(store, 3)
    store.close()


def fetching_killed(work: Work) -> None:
    """Kernels die while they bring the store back from a mirror, each later than the one before; the next one works."""
    mirror = _mirror(work)
    for after in itertools.count():
        if not killed_before_a_sync(lambda: fetch_from_mirror(mirror, work.root / "store", ME), ["packs", "commits"], after):
            break
    store = work.open()
    work.count = 2
    work.recorder.mark(SAVED, work.count)
    work.commit(store, 2)
    store.close()


def renewed(work: Work) -> None:
    """Packs are large: written past the page cache, and left when little of them is needed, which is written anew."""
    with mock.patch.object(packs, "LARGE", 4096), mock.patch.object(writing, "LARGE_PACK", 500):
        steps(work)


SCENARIOS: Sequence[Callable[[Work], None]] = (steps, sweep, renewed, opening_killed, fetching_killed, take_over, fetched, begun_again)


def record(scenario: Callable[[Work], None], folder: Path) -> Recording:
    root = folder / scenario.__name__
    root.mkdir(parents=True)
    recorder = Recorder(root)
    work = Work(root, recorder)
    with recorder.recording():
        scenario(work)
    return Recording(scenario.__name__, recorder.operations, frozenset(work.units))
