"""What goes into a commit: a captured state, with its files, its output, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from colab_guard.snapshots.files import FolderWatch
from colab_guard.snapshots.position import Position
from colab_guard.snapshots.units import UnitRecord
from colab_guard.state import Captured, file_holds_secret, scrubbed, scrubbed_json
from colab_guard.store import BufferDraft, CommitDraft, CommitKind


@dataclass(frozen=True, slots=True)
class Drafting:
    """`meta` goes into every commit, `facts()` and the parts of `output()` as they are then; secrets go into none.

    `lost` is told of every file that is left out, and why.
    """

    lost: Callable[[str, str], None]
    files: FolderWatch | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    facts: Callable[[], Mapping[str, Any]] = dict
    output: Callable[[], Mapping[str, bytes]] = dict
    _labels: dict[str, str] = field(default_factory=dict, repr=False)
    """Labels that were met, as they may be stored."""

    def drafts(self, kind: CommitKind, position: Position, captured: Captured, owed: Sequence[UnitRecord]) -> tuple[CommitDraft, ...]:
        """One draft; after a refused unit end, one for each unit still owed (equal state is stored once)."""
        files = self.files.captured() if self.files is not None else {}
        held = self.files.held(files) if self.files is not None else []
        meta = {
            **self.meta,
            **self.facts(),
            "not_kept": [f"{p.path}: {p.reason}" for p in captured.placeholders],
            **({"held_files": held} if held else {}),
        }
        state = CommitDraft(
            kind=kind,
            position=scrubbed_json(position.to_json()),
            parts={**captured.parts, **self.output()},
            buffers=self._told(captured.buffers),
            files=files,
            meta=scrubbed_json(meta),
        )
        units = tuple(self._ended(state, unit) for unit in owed)
        return units if kind == "unit" and units else (*units, state)

    def not_kept(self, captured: Captured) -> dict[str, str]:
        """What is in no commit of that state, and why."""
        losses = {p.path: p.reason for p in captured.placeholders} | captured.rebound
        return losses | self.files.not_kept if self.files is not None else losses

    def forget(self) -> None:
        """Nothing more is drafted."""
        if self.files is not None:
            self.files.forget()

    def _ended(self, state: CommitDraft, unit: UnitRecord) -> CommitDraft:
        record = {"group": unit.group, "key": unit.key, "record": scrubbed_json(dict(unit.record))}
        return replace(state, kind="unit", unit=record, unit_files=self._without_secrets(unit.files))

    def _without_secrets(self, files: Mapping[str, Path]) -> dict[str, Path]:
        held = {name: what for name, path in files.items() if (what := file_holds_secret(path))}
        for name, what in held.items():
            self.lost(name, f"it holds {what}, which no commit stores")
        return {name: path for name, path in files.items() if name not in held}

    def _told(self, buffers: Sequence[BufferDraft]) -> Sequence[BufferDraft]:
        """`buffers` under labels that may be stored: hundreds, which are the same at each safe point."""
        for label in {buffer.label for buffer in buffers}.difference(self._labels):
            self._labels[label] = scrubbed(label)
        if all(label is clean for label, clean in self._labels.items()):
            return buffers
        return [replace(buffer, label=self._labels[buffer.label]) for buffer in buffers]
