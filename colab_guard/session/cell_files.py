"""The files of a guarded cell: watched while it runs, put back where it goes on; what of them is left alone is told."""

from __future__ import annotations

from pathlib import Path

from colab_guard import hosts, store
from colab_guard.events import EventBus, FilesPutBack, NotKept
from colab_guard.session.options import CheckpointOptions
from colab_guard.snapshots import FolderWatch


class CellFiles:
    """What the cell `name` writes below the working folder, as it is from now on. `staging` is a folder for copies."""

    def __init__(self, name: str, options: CheckpointOptions, staging: Path, bus: EventBus) -> None:
        mirror = options.to and hosts.local_part(options.to)
        excluded = (hosts.home(), Path(mirror).expanduser()) if mirror else (hosts.home(),)
        self.watch = FolderWatch(Path.cwd(), excluded, options.files, staging=staging)
        self._name = name
        self._bus = bus
        if not self.watch.whole:
            why = "too many files to look at; files that the cell writes there are not kept"
            bus.post(NotKept(name=name, what=str(self.watch.root), why=why))

    def restore(self, opened: store.Store, record: store.CommitRecord) -> None:
        """As they were at the commit."""
        known = opened.files(record)
        modes = {name: info.mode for name, info in known.items()}
        held = record.meta.get("held_files", ())
        brought = self.watch.restore(known, lambda name: opened.read_file(record, name), modes, held)
        if brought.where is not None:
            where = str(brought.where)
            self._bus.post(FilesPutBack(name=self._name, replaced=brought.replaced, left=brought.left, where=where))
        for name in brought.later:
            why = "was written after the commit and is left as it is; what the cell appends to it comes twice"
            self._bus.post(NotKept(name=self._name, what=name, why=why))
