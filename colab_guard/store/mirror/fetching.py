"""Bringing a mirror to a machine that lost its store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from colab_guard.errors import StoreDamaged, StoreInUse
from colab_guard.store import disk
from colab_guard.store.leases import LEASE_NAME, read_leases
from colab_guard.store.mirror.catalogue import FarLeases, viewed
from colab_guard.store.mirror.folder import FolderPlace
from colab_guard.store.mirror.owners import check_notebook
from colab_guard.store.mirror.place import Place, intact, pieces
from colab_guard.store.packs import verify_pack
from colab_guard.store.types import CommitRecord, Identity
from colab_guard.store.view import StoreView, damaged_format, packs_needed
from colab_guard.workers import Abandoned

DAMAGED = ".damaged"
"""Beside the local stores: those that could not be read and were replaced from a mirror."""


def fetch_from_mirror(
    place: Place | Path,
    local: Path,
    identity: Identity,
    *,
    take_over: bool = False,
    gone: threading.Event | None = None,
    moved: Callable[[str, Path], None] = lambda why, kept: None,
) -> bool:
    """Bring the mirror's store to a machine whose local one is lost, older or damaged; say whether anything came.

    A local store whose FORMAT is damaged cannot be read: it is moved aside, whole, and `moved` is told why and whereto.

    ForeignStore, before anything is written, where the mirror is another notebook's. Nothing more is written once
    `gone` is set: the caller has given up waiting.
    """
    place = FolderPlace(place) if isinstance(place, Path) else place
    with viewed(place) as there:
        if there is None:
            return False
        leases = FarLeases(place).look()
        check_notebook(place, leases, identity, take_over=take_over)
        whole, units = there.retained()
    records = sorted({r.id: r for r in [*whole, *units]}.values(), key=_place)
    if not records and place.names("commits"):
        return False  # commits that cannot be read: to go on from their leases alone would let them be tidied away
    newest = _place(records[-1]) if records else (0, 0)  # without commits its leases alone: they are to be continued
    damage = damaged_format(local)
    if damage:
        _stop_if(gone)
        moved(damage, _moved_aside(local, identity, take_over=take_over))
    elif _newest_whole(local) >= newest:
        return False
    names = [f"leases/{name}" for name in leases.files if LEASE_NAME.match(f"{Path(name).stem}.json")]
    names += [f"packs/{name}.pack" for name in sorted(packs_needed(whole, units))]
    names += [f"commits/{record.id}.json" for record in records]
    return _bring(place, local, ["FORMAT", *names], gone)


def _bring(place: Place, local: Path, names: list[str], gone: threading.Event | None) -> bool:
    _stop_if(gone)
    for part in ("packs", "commits", "leases"):
        disk.make_folder(local / part)
    brought = 0
    here = FolderPlace(local)
    for name in names:
        _stop_if(gone)
        if place.size(name) is not None and not intact(here, name):
            disk.write_whole(local / name, pieces(place, name, lambda: _stop_if(gone)))
            brought += 1
    return brought > 0


def _stop_if(gone: threading.Event | None) -> None:
    if gone is not None and gone.is_set():
        raise Abandoned("the fetch was left behind")


def _moved_aside(local: Path, identity: Identity, *, take_over: bool) -> Path:
    """Move the store `local` out of the way, unless someone writes it; give where it lies now."""
    leases = read_leases(local / "leases")[0]
    if leases and not leases[-1].released and leases[-1].owner.lives() and not take_over:
        who = leases[-1].owner.words()
        raise StoreInUse(f"{identity.name!r} is being written by {who}, and its FORMAT is damaged; stop it, or --take-over")
    disk.make_folder(local.parent / DAMAGED)
    kept = local.parent / DAMAGED / f"{local.name}-{time.time_ns()}"
    local.rename(kept)
    disk.sync_folder(local.parent)
    return kept


def _newest_whole(path: Path) -> tuple[int, int]:
    """The place of the newest commit of a local store whose packs are all as they were written."""
    if not (path / "FORMAT").exists():
        return (-1, -1)
    for record in StoreView(path).commits():
        if all(_pack_whole(path / "packs" / f"{name}.pack") for name in packs_needed([record], [])):
            return _place(record)
    return (-1, -1)


def _pack_whole(path: Path) -> bool:
    try:
        verify_pack(path)
    except StoreDamaged:
        return False
    return True


def _place(record: CommitRecord) -> tuple[int, int]:
    return record.generation, record.seq
