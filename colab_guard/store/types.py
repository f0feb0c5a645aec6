"""The values that enter and leave a store: drafts, commit records, what was loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Bytes = bytes | bytearray | memoryview
CommitKind = Literal["step", "unit", "cell"]
"""step: inside a unit; unit: a unit ended here; cell: the whole cell is done."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose commits a store holds: the NAME, the notebook (a path or an id; "" when unknown) and the cell's hash."""

    name: str
    notebook: str
    cell: str = ""


class Stamped(Protocol):
    """Memory that says by its `stamp` (None: it cannot) whether its bytes are those of an earlier commit."""

    @property
    def stamp(self) -> object | None: ...


@dataclass(frozen=True, slots=True)
class BufferDraft:
    """A buffer outside the pickles. `data` is flat and is not changed until the commit is written.

    `source.stamp`, where there is a source, stands for the bytes: the same object again, the same bytes again.
    `dtype`, `shape` and `stride` (elements) describe it to those who never unpickle; `label` says whose it is, for people.
    """

    key: str
    data: Bytes
    dtype: str = "uint8"
    shape: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    label: str = ""
    source: Stamped | None = None


@dataclass(frozen=True, slots=True)
class CommitDraft:
    """What a snapshot hands over. `position`, `meta` and `unit` are JSON-able; `parts` are bytes by name: pickles, and
    what the cell printed and displayed.

    `files` and `unit_files` map relative names to files to read in now. `unit` (with `unit_files`) outlives the
    state: it is kept by retention for as long as the store is.
    """

    kind: CommitKind
    position: Mapping[str, Any]
    parts: Mapping[str, Bytes]
    buffers: Sequence[BufferDraft] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    unit: Mapping[str, Any] | None = None
    unit_files: Mapping[str, Path] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """A commit as its record file tells it. `id` is `<generation>-<seq>-<hash>`; `raw` is the whole JSON."""

    id: str
    generation: int
    seq: int
    kind: CommitKind
    created: float
    parent: str | None
    position: Mapping[str, Any]
    meta: Mapping[str, Any]
    unit: Mapping[str, Any] | None
    raw: Mapping[str, Any]
    bytes_total: int = 0
    bytes_new: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """Its order within a store."""
        return self.generation, self.seq


@dataclass(frozen=True, slots=True)
class Loaded:
    """A commit's state, verified: parts and writable buffers by key."""

    record: CommitRecord
    parts: dict[str, bytes]
    buffers: dict[str, bytearray]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A commit that could not be used, and why."""

    commit: str
    reason: str
