"""Bringing a mirror to a machine that lost its store.

Packs come first, then records, and leases last: a fetch that is cut off leaves what was here as it counted before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from colab_guard.errors import GuardError, StoreInUse, UserMistake
from colab_guard.store import disk
from colab_guard.store.index import state_packs
from colab_guard.store.leases import LEASE_NAME, read_leases
from colab_guard.store.lineage import place_of
from colab_guard.store.mirror.calls import Call
from colab_guard.store.mirror.catalogue import FarLeases, listed, viewed
from colab_guard.store.mirror.folder import FolderPlace
from colab_guard.store.mirror.histories import Here, apart, check_read, superseded, unread_files
from colab_guard.store.mirror.owners import check_notebook
from colab_guard.store.mirror.place import Moved, Place, intact
from colab_guard.store.mirror.reading import bring_pack, patiently
from colab_guard.store.types import CommitRecord, Identity, PassedOver
from colab_guard.store.view import StoreView, damaged_format, packs_needed
from colab_guard.workers import Abandoned

DAMAGED = ".damaged"
"""Beside the local stores: those that could not be read and were replaced from a mirror."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a fetch; true where files came. `passed`: commits of the mirror or of here that do not count, and why.

    `unread`: files of the mirror that may belong to what could not be read, and stay. `apart`: the local store has nothing
    in common with the mirror, and is to replace it.
    """

    files: int = 0
    passed: tuple[PassedOver, ...] = ()
    unread: frozenset[str] = frozenset()
    apart: bool = False

    def __bool__(self) -> bool:
        return self.files > 0


def fetch_from_mirror(
    place: Place | Path,
    local: Path,
    identity: Identity,
    *,
    take_over: bool = False,
    call: Call | None = None,
    moved: Callable[[str, Path], None] = lambda why, kept: None,
) -> Fetched:
    """Bring the mirror's store to a machine whose local one is lost, older or damaged; what came of it.

    A local store whose FORMAT is damaged cannot be read: it is moved aside, whole, and `moved` is told why and whereto.

    ForeignStore, before anything is written, where the mirror is another notebook's, where what is there was signed with
    another key, or where it and what is here have nothing in common. MirrorUnusable where it cannot be read. Nothing more is
    written once `call` is given up.
    """
    place = FolderPlace(place) if isinstance(place, Path) else place
    call = call or Call()
    try:
        return _fetch(place, local, identity, take_over, call.moved, moved)
    except (GuardError, Abandoned):
        raise
    except OSError as error:  # those of the place are told as such where they arise
        raise UserMistake(
            f"the local store {local} cannot be used ({error.strerror or error}); free some space there, or set COLAB_GUARD_HOME "
            "to another folder"
        ) from error


def _fetch(
    place: Place, local: Path, identity: Identity, take_over: bool, moved: Moved, aside: Callable[[str, Path], None]
) -> Fetched:
    with viewed(place, moved) as there:
        if there is None:
            return Fetched()
        damage = damaged_format(local)
        here = Here(local, None, ()) if damage else Here.at(local)
        packs = set(listed(place, "packs", moved))
        whole, units = there.retained(packs={Path(pack).stem for pack in packs})
        records = sorted({r.id: r for r in [*whole, *units]}.values(), key=attrgetter("place"))
        leases = patiently(place, "the folder leases", FarLeases(place).look, moved)
        mine = (-1, -1) if damage else _newest_whole(local, moved)
        strange = here.newest is not None and not here.shares(there)
        readable = records[-1].place if records else (-1, -1)
        check_read(there, leases, readable if strange else max(mine, readable), place.name, local=here.newest is not None)
        if strange and apart(here, there, records[-1] if records else None, identity, place.name, take_over=take_over):
            return Fetched(apart=True)
        check_notebook(place, leases, identity, take_over=take_over)
        newest = readable if records else (0, 0)  # without commits its leases alone: they are to be continued
        unread = unread_files(there, packs, packs_needed(whole, units))
        have = {record.id for record in here.commits}
        passed = [p for p in there.problems if p.commit not in have and (mine < newest or place_of(p.commit) > mine)]
        if damage:
            moved()
            aside(damage, _moved_aside(local, identity, take_over=take_over))
        elif not records and there.problems:
            return Fetched(passed=tuple(passed), unread=unread)
        elif mine >= newest:
            whole, units = [], []  # a fetch that was cut off may have left out leases
        else:
            passed += superseded(here, leases)
        return _bring(place, local, there, whole, units, moved, passed, unread)


def _bring(
    place: Place,
    local: Path,
    there: StoreView,
    whole: list[CommitRecord],
    units: list[CommitRecord],
    moved: Moved,
    passed: list[PassedOver],
    unread: frozenset[str],
) -> Fetched:
    moved()
    for part in ("packs", "commits", "leases"):
        disk.make_folder(local / part)
    here, brought, lost = FolderPlace(local), 0, set[str]()
    for pack in sorted(packs_needed(whole, units)):
        if not _pack_whole(local, pack, moved):
            came = bring_pack(place, f"packs/{pack}.pack", local, moved)
            brought += came
            lost |= set() if came else {pack}
    # a unit's end counts, whatever became of its state
    left = [record for record in whole if state_packs(record) & lost and record not in units]
    passed = passed + [PassedOver(record.id, "a pack that it needs is damaged on the mirror, or gone") for record in left]
    unread |= {f"commits/{r.id}.json" for r in left} | {f"packs/{pack}.pack" for r in left for pack in state_packs(r)}
    kept = sorted({r.id for r in [*whole, *units]} - {r.id for r in left})
    names = ["FORMAT", *(f"commits/{commit}.json" for commit in kept)]
    marks = sorted((there.path / "leases").iterdir())
    names += [f"leases/{path.name}" for path in marks if LEASE_NAME.match(f"{path.stem}.json")]
    for name in names:
        moved()
        if (there.path / name).exists() and not intact(here, name, there.path / name):
            disk.write_whole(local / name, [(there.path / name).read_bytes()])
            brought += 1
    return Fetched(brought, tuple(passed), unread)


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


def _newest_whole(path: Path, moved: Moved) -> tuple[int, int]:
    """The place of the newest commit of a local store whose packs are all as they were written."""
    if not (path / "FORMAT").exists():
        return (-1, -1)
    for record in StoreView(path).commits():
        if all(_pack_whole(path, name, moved) for name in packs_needed([record], [])):
            return record.place
    return (-1, -1)


def _pack_whole(local: Path, pack: str, moved: Moved) -> bool:
    try:
        return intact(FolderPlace(local), f"packs/{pack}.pack", moved=moved)
    except (Abandoned, GuardError):
        raise
    except OSError:
        return False  # it is brought anew
