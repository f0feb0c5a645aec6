"""From recorded operations to the states in which a folder may be found after a power loss."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path, PurePosixPath

from tests.store.crashes.record import Create, MakeFolder, Mark, Operation, Remove, Rename, Sync, SyncFolder, Write

ALL_SUBSETS = 6
"""Up to so many pending operations on folders every subset is tried; of more, those that differ little from all or none."""
Entry = Create | MakeFolder | Rename | Remove


@dataclass(frozen=True, slots=True)
class Image:
    """A folder as found: files with their bytes, folders; `after`: so many operations had been asked for."""

    files: dict[str, bytes]
    folders: frozenset[str]
    after: int

    @property
    def id(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(self.folders):
            digest.update(f"{name}/\n".encode())
        for name, data in sorted(self.files.items()):
            digest.update(f"{name} {len(data)}\n".encode() + data)
        return digest.hexdigest()

    def put(self, root: Path) -> None:
        root.mkdir(parents=True)
        for folder in sorted(self.folders):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (root / name).write_bytes(data)


@dataclass
class _Disk:
    """What was asked for so far, and what of it is certain."""

    certain: list[Entry] = field(default_factory=list)
    pending: list[Entry] = field(default_factory=list)
    data: dict[int, bytes] = field(default_factory=dict)
    synced: dict[int, int] = field(default_factory=dict)
    """For each inode the number of bytes that an fsync has followed."""

    def take(self, operation: Operation) -> None:
        if isinstance(operation, (Create, MakeFolder, Rename, Remove)):
            self.pending.append(operation)
        elif isinstance(operation, Write):
            self.data[operation.inode] = self.data.get(operation.inode, b"") + operation.data
        elif isinstance(operation, Sync):
            self.synced[operation.inode] = len(self.data.get(operation.inode, b""))
        elif isinstance(operation, SyncFolder):
            certain = [entry for entry in self.pending if _parent(entry) == operation.path]
            self.pending = [entry for entry in self.pending if _parent(entry) != operation.path]
            self.certain += certain

    @property
    def open(self) -> list[int]:
        """Inodes with bytes of which nobody knows whether they came through."""
        return [inode for inode, data in self.data.items() if self.synced.get(inode, 0) < len(data)]


def states(operations: Sequence[Operation]) -> Iterator[Image]:
    """All different states in which the folder may be found, whenever the power was lost."""
    seen: set[tuple[int, str]] = set()
    disk, saved = _Disk(), 0
    for number in range(len(operations) + 1):
        for image in _found(disk, number):
            key = (saved, image.id)  # what must be there depends on what had been reported
            if key not in seen:
                seen.add(key)
                yield image
        if number < len(operations):
            disk.take(operations[number])
            saved += isinstance(operations[number], Mark)


def whole(operations: Sequence[Operation]) -> Image:
    """The folder when nothing was lost."""
    disk = _Disk()
    for operation in operations:
        disk.take(operation)
    return _image(disk, disk.pending, {}, len(operations))


def _found(disk: _Disk, after: int) -> Iterator[Image]:
    for entries in _subsets(disk.pending):
        for cut in _cuts(disk):
            yield _image(disk, entries, cut, after)


def _subsets(pending: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    count = len(pending)
    if count <= ALL_SUBSETS:
        for size in range(count + 1):
            yield from combinations(pending, size)
        return
    for number in range(count + 1):
        yield pending[:number]
        yield pending[number:]
    for number in range(count):
        yield [*pending[:number], *pending[number + 1 :]]
    for one, other in pairwise(pending):
        yield [one, other]


def _cuts(disk: _Disk) -> Iterator[dict[int, bytes]]:
    """What may be found in the files whose bytes are not certain: each in all of its ways, the others whole or lost."""
    yield {}
    if not disk.open:
        return
    yield {inode: disk.data[inode][: disk.synced.get(inode, 0)] for inode in disk.open}
    for inode in disk.open:
        data, certain = disk.data[inode], disk.synced.get(inode, 0)
        middle = certain + (len(data) - certain) // 2
        zeros = bytes(len(data) - certain)
        for found in (data[:certain], data[:middle], data[:certain] + zeros, data[:middle] + bytes(len(data) - middle)):
            yield {inode: found}


def _image(disk: _Disk, entries: Sequence[Entry], cut: dict[int, bytes], after: int) -> Image:
    names: dict[str, int] = {}
    folders: set[str] = set()
    for entry in (*disk.certain, *entries):
        if isinstance(entry, MakeFolder):
            folders.add(entry.path)
        elif isinstance(entry, Create):
            names[entry.path] = entry.inode
        elif isinstance(entry, Rename):
            names.pop(entry.source, None)
            names[entry.target] = entry.inode
        else:
            names.pop(entry.path, None)
    there = {folder for folder in folders if all(str(up) in folders or str(up) == "." for up in PurePosixPath(folder).parents)}
    files = {
        name: cut.get(inode, disk.data.get(inode, b""))
        for name, inode in names.items()
        if (up := str(PurePosixPath(name).parent)) in there or up == "."
    }
    return Image(files, frozenset(there), after)


def _parent(entry: Entry) -> str:
    path = entry.target if isinstance(entry, Rename) else entry.path
    return str(PurePosixPath(path).parent)
