"""What a mirror and a local store are to each other: one history, two, or one that nobody here can read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from colab_guard.errors import ForeignStore, StoreDamaged
from colab_guard.store.leases import LEASE_NAME, Lease, last_that_counts, leases_among, read_leases
from colab_guard.store.lineage import place_of
from colab_guard.store.mirror.catalogue import FarLeases
from colab_guard.store.packs import digest
from colab_guard.store.records import RECORD_NAME, read_sealed
from colab_guard.store.types import CommitRecord, Identity, PassedOver
from colab_guard.store.view import StoreView


@dataclass(frozen=True, slots=True)
class Here:
    """The local store before a fetch; without commits where there is none. `newest`: the newest that can be read."""

    path: Path
    newest: CommitRecord | None
    commits: tuple[CommitRecord, ...]

    @classmethod
    def at(cls, path: Path) -> Here:
        found = tuple(StoreView(path).commits()) if (path / "FORMAT").exists() else ()
        return cls(path, found[0] if found else None, found)

    def shares(self, there: StoreView) -> bool:
        """Whether any lease or commit of the mirror is here as well."""
        return any(_names(self.path, part) & _names(there.path, part) for part in ("leases", "commits"))


def apart(here: Here, there: StoreView, theirs: CommitRecord | None, identity: Identity, where: str, *, take_over: bool) -> bool:
    """Whether this one goes on, of two that have nothing in common; ForeignStore where a person has to say which.

    A store that was begun anew above the mirror's generation was meant to replace it.
    """
    assert here.newest is not None
    anew = max((lease.generation for lease in read_leases(here.path / "leases")[0] if lease.continues is None), default=0)
    above = max((int(name[:8]) for name in _names(there.path, "leases")), default=0)
    if theirs is None or take_over or anew > above:
        return True
    raise ForeignStore(
        f"{identity.name!r} stands at {_stands(here.newest)} on this machine and at {_stands(theirs)} on {where}, and the two have "
        f"nothing in common; --take-over goes on from here and replaces what is there, --fresh begins again, another NAME keeps both; "
        f"to go on from there, move {here.path} away"
    )


def check_read(there: StoreView, leases: FarLeases, newest: tuple[int, int], where: str, *, local: bool) -> None:
    """ForeignStore where what lies on the mirror, newer than all that can be read, was signed with another key.

    What is damaged is passed over where something older is whole; else that is refused as well. `newest`: the place of the
    newest commit that can be read, there or here (`local`: here is one).
    """
    foreign = [problem for problem in there.problems if _is_sealed(there.path / "commits" / f"{problem.commit}.json")]
    unread = [problem for problem in foreign if place_of(problem.commit) > newest]
    known = max((lease.generation for lease in leases.leases), default=0)
    others = [name for name in leases.names if int(name[:8]) > max(known, newest[0]) and _is_foreign(leases.files[name], name)]
    without = ", leave --to out to go on from what is here" if local else ""
    if unread or others:
        reason = unread[0].reason if unread else "the lease is signed with another key, or not at all"
        what = f"{len(foreign)} commits" if foreign else f"{len(others)} leases"
        raise ForeignStore(
            f"--to {where}: {what} there cannot be taken up ({reason}), and nothing newer can; set COLAB_GUARD_KEY to the key of "
            f"then (to none, if there was none){without}, or --fresh begins again"
        )
    if there.problems and newest < (0, 0):
        problem = there.problems[0]
        raise ForeignStore(
            f"--to {where}: {len(there.problems)} commits are there and none can be read ({problem.reason}); colab-guard verify tells "
            "more, --fresh begins again"
        )


def superseded(here: Here, leases: FarLeases) -> list[PassedOver]:
    """The newest commit of this machine, where another has gone on from before it."""
    newest = here.newest
    if newest is None:
        return []
    mine = {name for name in _names(here.path, "leases") if int(name[:8]) == newest.generation}
    last = last_that_counts(newest.generation, leases.leases)
    if mine & set(leases.names):
        gone = [record for record in here.commits if record.place > last]
    else:  # the mirror never saw who wrote it
        gone = [record for record in here.commits if record.generation == newest.generation]
    if newest not in gone:
        return []
    holder = _who(leases.newest)
    count = "it was" if len(gone) == 1 else f"{len(gone)} commits up to it were"
    went = f"{holder} went on from before: the mirror's work is taken up, and the next commit lets what was here go"
    return [PassedOver(newest.id, f"{count} saved on this machine only, and {went}")]


def unread_files(there: StoreView, packs: set[str], needed: set[str]) -> frozenset[str]:
    """Files of the mirror that stay there: records that cannot be read, and the packs that may be theirs."""
    records = {path.name for path in (there.path / "commits").iterdir() if RECORD_NAME.match(path.name)}
    bad = {f"commits/{name}" for name in records if isinstance(there.record(name.removesuffix(".json")), PassedOver)}
    return frozenset(bad | {f"packs/{name}" for name in packs if name.removesuffix(".pack") not in needed}) if bad else frozenset()


def _stands(record: CommitRecord) -> str:
    return f"{record.position.get('text') or record.kind} (saved {time.strftime('%Y-%m-%d %H:%M', time.localtime(record.created))})"


def _who(lease: Lease | None) -> str:
    return "another machine" if lease is None else f"another machine (host {lease.owner.host!r})"


def _names(path: Path, part: str) -> set[str]:
    folder = path / part
    return {found.name for found in folder.iterdir() if found.suffix == ".json"} if folder.is_dir() else set()


def _is_sealed(path: Path) -> bool:
    """Whether a record's bytes are as written, whatever they say."""
    try:
        read_sealed(path)
    except StoreDamaged:
        return False
    return True


def _is_foreign(data: bytes | Exception, name: str) -> bool:
    """Whether a lease is as it was written, and cannot be used all the same."""
    match = LEASE_NAME.match(name)
    whole = isinstance(data, bytes) and match is not None and digest(data)[:16] == match[2]
    return whole and not leases_among({name: data})[0]
