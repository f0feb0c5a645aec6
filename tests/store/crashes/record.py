"""The file operations of a scenario below one folder, in their order, with marks for what was reported to the caller."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock


@dataclass(frozen=True, slots=True)
class MakeFolder:
    path: str


@dataclass(frozen=True, slots=True)
class Create:
    path: str
    inode: int


@dataclass(frozen=True, slots=True)
class Write:
    inode: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Sync:
    """fsync of a file. `path`: what it was called then; `kind`: the files that are alike ("file store/packs/*")."""

    inode: int
    path: str

    @property
    def kind(self) -> str:
        folder, _, name = self.path.rpartition("/")
        return f"file {folder}/FORMAT" if name.endswith("-FORMAT") else f"file {folder}/*"


@dataclass(frozen=True, slots=True)
class SyncFolder:
    path: str

    @property
    def kind(self) -> str:
        return f"folder {self.path}"


@dataclass(frozen=True, slots=True)
class Rename:
    source: str
    target: str
    inode: int


@dataclass(frozen=True, slots=True)
class Remove:
    path: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something was reported to the caller: `what` with its number."""

    what: str
    number: int


Operation = MakeFolder | Create | Write | Sync | SyncFolder | Rename | Remove | Mark


@dataclass
class Recorder:
    """Stands in for functions of `os`; notes what they do below `root`."""

    root: Path
    operations: list[Operation] = field(default_factory=list)
    _inodes: dict[str, int] = field(default_factory=dict)
    _descriptors: dict[int, tuple[str, int | None]] = field(default_factory=dict)

    def mark(self, what: str, number: int) -> None:
        self.operations.append(Mark(what, number))

    @contextmanager
    def recording(self) -> Iterator[Recorder]:
        notes = {
            "open": self._opened,
            "write": self._written,
            "fsync": self._synced,
            "rename": self._renamed,
            "unlink": self._unlinked,
            "mkdir": self._made,
        }
        with mock.patch.multiple(os, **{name: _noting(getattr(os, name), note) for name, note in notes.items()}):
            yield self

    def _below(self, path: Any) -> str | None:
        """`path` relative to the root; None for one outside it."""
        absolute = Path(os.path.abspath(path))
        return str(absolute.relative_to(self.root)) if absolute.is_relative_to(self.root) else None

    def _opened(self, descriptor: int, path: Any, flags: int, *mode: Any) -> None:
        self._descriptors.pop(descriptor, None)
        name = self._below(path)
        if name is None:
            return
        if flags & os.O_CREAT:
            assert name not in self._inodes, f"{name} is written in its place"
            self._inodes[name] = len(self.operations)
            self.operations.append(Create(name, self._inodes[name]))
        self._descriptors[descriptor] = name, self._inodes.get(name)

    def _written(self, count: int, descriptor: int, data: Any) -> None:
        if descriptor in self._descriptors:
            inode = self._descriptors[descriptor][1]
            assert inode is not None
            self.operations.append(Write(inode, bytes(data)[:count]))

    def _synced(self, given: None, descriptor: int) -> None:
        if descriptor in self._descriptors:
            name, inode = self._descriptors[descriptor]
            self.operations.append(SyncFolder(name) if inode is None else Sync(inode, name))

    def _renamed(self, given: None, source: Any, target: Any) -> None:
        names = self._below(source), self._below(target)
        if names[0] is not None and names[1] is not None:
            self._inodes[names[1]] = self._inodes.pop(names[0])
            self.operations.append(Rename(*names, self._inodes[names[1]]))  # type: ignore[arg-type]

    def _unlinked(self, given: None, path: Any) -> None:
        name = self._below(path)
        if name is not None:
            self._inodes.pop(name)
            self.operations.append(Remove(name))

    def _made(self, given: None, path: Any, *mode: Any) -> None:
        name = self._below(path)
        if name is not None:
            self.operations.append(MakeFolder(name))


def _noting(real: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    def stand_in(*arguments: Any, **options: Any) -> Any:
        given = real(*arguments, **options)
        note(given, *arguments)
        return given

    return stand_in
