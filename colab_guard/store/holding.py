"""Who may take the lease of a local store, and whether it is still held: what stands against it is said in one line."""

from __future__ import annotations

import os
from pathlib import Path

from colab_guard.errors import ForeignStore, StoreDamaged, StoreInUse
from colab_guard.store.leases import Lease, newest_generation
from colab_guard.store.types import Identity


def check_free(lease: Lease, name: str, *, open_here: bool) -> None:
    """StoreInUse where a living process has not given `lease` back; `open_here`: this one has the store open."""
    if lease.released or not lease.owner.lives() or (lease.owner.pid == os.getpid() and not open_here):
        return
    raise StoreInUse(
        f"{name!r} is being written by {lease.owner.words()}; stop it (colab-guard stop {name}), use another NAME, or --take-over"
    )


def check_notebook(lease: Lease, identity: Identity) -> None:
    """ForeignStore where `lease` is another notebook's."""
    mine, theirs = identity.notebook, lease.notebook
    if mine and theirs and mine != theirs:
        raise ForeignStore(
            f"{identity.name!r} belongs to the notebook {theirs}, this one is {mine}; use another NAME, or --take-over to adopt its work"
        )


def check_held(path: Path, lease: Lease, name: str) -> None:
    """StoreInUse where the store at `path` was taken over from `lease`, StoreDamaged where it is not there any more."""
    newest = newest_generation(path)
    if newest > lease.generation:
        raise StoreInUse(f"{name!r} was taken over by another process; this one commits no more")
    if newest < lease.generation or not (path / "FORMAT").exists():
        raise StoreDamaged(
            f"the local store {path} was removed while it was written; nothing more is saved until the cell is stopped and run "
            "again: from the mirror where there is one, else from its start"
        )
