"""Whose mirror a folder is, and bringing it to a machine that lost its store.

A mirror belongs to the notebook that its newest lease names, and to the machine that knows all of its leases: a lease
there that the local store lacks is another machine's, which has written since. Of two leases of one generation that
were written at the same time the one created first holds.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from colab_guard.errors import ForeignStore, StoreDamaged, StoreInUse
from colab_guard.store import disk
from colab_guard.store.leases import LEASE_NAME, Lease, newest_generation, read_leases
from colab_guard.store.packs import digest, verify_pack
from colab_guard.store.types import CommitRecord, Identity
from colab_guard.store.view import FORMAT_NAME, FORMAT_VERSION, StoreView, check_format, damaged_format, packs_needed
from colab_guard.store.writer import Store
from colab_guard.workers import Abandoned

DAMAGED = ".damaged"
"""Beside the local stores: those that could not be read and were replaced from a mirror."""
PIECE_BYTES = 4 * 2**20
FORMAT_LINE = f"{FORMAT_NAME} {FORMAT_VERSION}\n".encode()


def intact(path: Path, original: Path | None = None) -> bool:
    """Whether the file `path` is what its name says; one that has no hash in its name must equal `original`."""
    if not path.exists():
        return False
    if path.suffix == ".pack":
        try:
            verify_pack(path)
        except StoreDamaged:
            return False
        return True
    hashed = re.search(r"-([0-9a-f]+)\.json$", path.name)
    if hashed is not None:
        return digest(path.read_bytes()).startswith(hashed[1])
    return original is not None and original.exists() and path.read_bytes() == original.read_bytes()


def check_notebook(folder: Path, identity: Identity, *, take_over: bool) -> None:
    """Raise ForeignStore where the newest lease that can be read names another notebook."""
    leases = read_leases(folder / "leases")[0]
    theirs = leases[-1].notebook if leases else ""
    if theirs and identity.notebook and theirs != identity.notebook and not take_over:
        raise ForeignStore(
            f"the mirror {folder} belongs to the notebook {theirs}, this one is {identity.notebook}; use another NAME, "
            "or --take-over to adopt its work"
        )


def mirror_generation(folder: Path, identity: Identity, *, take_over: bool = False) -> int:
    """The newest generation in the mirror `folder` (0: none); a store that is to replace it opens above that."""
    check_notebook(folder, identity, take_over=take_over)
    return newest_generation(folder)


def check_place(folder: Path, store: Store, *, take_over: bool) -> None:
    """Raise ForeignStore (or StoreTooNew) where `store` must not write into `folder`; writes nothing."""
    path = folder / "FORMAT"
    if path.exists() and not FORMAT_LINE.startswith(path.read_bytes()):
        check_format(folder)  # a FORMAT that is cut short is sent again
    check_notebook(folder, store.identity, take_over=take_over)
    mine = set(_lease_names(store.path))
    theirs = [name for name in _lease_names(folder) if name not in mine]
    if not theirs:
        return
    newest = int(max(theirs)[:8])
    leases = store.leases
    anew = max((lease.generation for lease in leases if lease.continues is None), default=0)
    replaces = take_over or anew > newest
    if replaces and store.generation > newest:
        return
    own = next((name for name in mine if int(name[:8]) == store.generation), None)
    if newest == store.generation and own is not None and intact(folder / "leases" / own):
        return  # both were written at the same time; `claim` says which one holds
    raise ForeignStore(
        f"another machine writes to this mirror: it has taken over (generation {newest}); stop one of the two, or run "
        "the cell again to go on from what the mirror holds"
    )


def claim(folder: Path, store: Store, *, take_over: bool) -> None:
    """After the own lease was written there: withdraw it where another of the same generation came first."""
    check_place(folder, store, take_over=take_over)
    rivals = [lease for lease in read_leases(folder / "leases")[0] if lease.generation == store.generation]
    first = min(rivals, key=_order, default=None)
    mine = next((lease for lease in store.leases if lease.generation == store.generation), None)
    if first is None or mine is None or _order(first) == _order(mine):
        return
    for name in _lease_names(store.path):
        if int(name[:8]) == store.generation:
            (folder / "leases" / name).unlink(missing_ok=True)
    raise ForeignStore(
        f"another machine writes to this mirror (host {first.owner.host!r}, process {first.owner.pid}); stop one of "
        "the two, or run the cell again to go on from what the mirror holds"
    )


def _order(lease: Lease) -> tuple[float, str, str, int]:
    return lease.created, lease.owner.host, lease.owner.boot, lease.owner.pid


def _lease_names(path: Path) -> list[str]:
    return sorted(p.name for p in (path / "leases").glob("*.json") if LEASE_NAME.match(p.name))


def fetch_from_mirror(
    folder: Path,
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
    if not (folder / "FORMAT").exists():
        return False
    there = StoreView(folder)
    check_notebook(folder, identity, take_over=take_over)
    whole, units = there.retained()
    records = sorted({r.id: r for r in [*whole, *units]}.values(), key=_place)
    newest = _place(records[-1]) if records else (0, 0)  # without commits its leases alone: they are to be continued
    damage = damaged_format(local)
    if damage:
        _stop_if(gone)
        moved(damage, _moved_aside(local, identity, take_over=take_over))
    elif _newest_whole(local) >= newest:
        return False
    _stop_if(gone)
    for part in ("packs", "commits", "leases"):
        disk.make_folder(local / part)
    names = ["FORMAT", *(f"leases/{path.name}" for path in (folder / "leases").glob("*"))]
    names += [f"packs/{name}.pack" for name in sorted(packs_needed(whole, units))]
    names += [f"commits/{record.id}.json" for record in records]
    brought = 0
    for name in names:
        source, target = folder / name, local / name
        _stop_if(gone)
        if source.exists() and not intact(target, source):
            disk.write_whole(target, _pieces(source, gone))
            brought += 1
    return brought > 0


def _pieces(path: Path, gone: threading.Event | None) -> Iterable[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            _stop_if(gone)
            yield piece
    _stop_if(gone)


def _stop_if(gone: threading.Event | None) -> None:
    if gone is not None and gone.is_set():
        raise Abandoned("the fetch was left behind")


def _moved_aside(local: Path, identity: Identity, *, take_over: bool) -> Path:
    """Move the store `local` out of the way, unless someone writes it; give where it lies now."""
    leases = read_leases(local / "leases")[0]
    if leases and not leases[-1].released and leases[-1].owner.lives() and not take_over:
        mine = leases[-1].owner.pid == os.getpid()
        who = "this kernel" if mine else f"a living process (pid {leases[-1].owner.pid})"
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
        if all(intact(path / "packs" / f"{name}.pack") for name in packs_needed([record], [])):
            return _place(record)
    return (-1, -1)


def _place(record: CommitRecord) -> tuple[int, int]:
    return record.generation, record.seq
