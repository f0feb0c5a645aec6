"""Looking at a store for people: what is in it, what each commit changed, and whether every byte is as it was written.

Reads only, and never unpickles: labels, shapes and sizes stand in the records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from colab_guard.errors import StoreDamaged
from colab_guard.store.disk import TEMPORARY
from colab_guard.store.index import state_packs, whole_of
from colab_guard.store.leases import LEASE_NAME, Lease, read_leases
from colab_guard.store.names import CHUNK_BYTES
from colab_guard.store.packs import PACK_NAME, open_pack, packs_in, verify_pack
from colab_guard.store.records import RECORD_NAME, read_record
from colab_guard.store.types import CommitRecord, PassedOver
from colab_guard.store.view import StoreView, packs_needed, unit_packs

MARK_NAME = re.compile(r"^\d{8}-[0-9a-f]{16}\.released$")
BEAT_NAME = re.compile(r"^\d{8}-[0-9a-f]{16}\.beat$")
"""On a mirror: a living holder writes it again and again. It says nothing of what is stored."""
MORE_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Changed:
    """A part, buffer or file that differs from the commit before: what it is, its name, its size, and bytes of other chunks."""

    kind: str
    name: str
    size: int
    new: int


@dataclass(frozen=True, slots=True)
class Row:
    """One commit: `whole` says whether the packs of its state are there, with ends as they were written (False: collected, or damaged).

    What lies between their ends, only `verify` tells.
    """

    commit: str
    kind: str
    position: str
    created: float
    bytes_total: int
    bytes_new: int
    whole: bool
    unit: str
    inexact: tuple[str, ...] = ()
    """Why what led here may differ in its last bits from an uninterrupted run; empty: it does not."""
    changed: tuple[Changed, ...] = ()
    """Against the commit before that is still here, the most bytes first; all of it where there is none. Empty: not asked."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who writes or wrote a store last, from its newest lease; `held`: not given back, as far as can be told from here.

    A process of this machine that is gone, with an earlier boot or by itself, holds nothing; of another machine's nobody knows.
    """

    generation: int
    pid: int
    host: str
    notebook: str
    since: float
    held: bool


@dataclass(frozen=True, slots=True)
class Described:
    """Commits, newest first; how many there are in all; and those whose records cannot be read, with the reasons."""

    rows: list[Row]
    in_all: int
    unreadable: list[PassedOver]


def describe(path: Path) -> Described:
    """The commits of the store at `path` without what changed. Reads records and the ends of packs."""
    view = StoreView(path)
    records = view.commits()
    packs = _packs_there(path, records)
    return Described([_row(record, packs, ()) for record in records], len(records), view.problems)


def describe_newest(path: Path, most: int | None) -> Described:
    """The newest `most` commits (None: all) with what each changed. Only those are looked into.

    Where a record went meanwhile, as it does in a store that is written, all of it is looked at again.
    """
    for _ in range(MORE_LOOKS):
        with suppress(StoreDamaged):
            return _described(path, most)
    return _described(path, most)


def _described(path: Path, most: int | None) -> Described:
    view = StoreView(path)
    names = view.standing()
    found = [view.record(name) for name in (names if most is None else names[: most + 1])]
    records = [record for record in found if isinstance(record, CommitRecord)]
    unreadable = [*view.problems, *(one for one in found if isinstance(one, PassedOver))]
    packs = _packs_there(path, records)
    rows = [_row(record, packs, changes(record, before)) for record, before in zip_longest(records, records[1:])]
    return Described(rows[:most], len(names), unreadable)


def _packs_there(path: Path, records: Iterable[CommitRecord]) -> set[str]:
    there = {pack.name.removesuffix(".pack") for pack in packs_in(path / "packs")}
    needed = frozenset[str]().union(*map(state_packs, records))
    return {name for name in needed & there if _has_ends(path, name)}


def _has_ends(path: Path, pack: str) -> bool:
    try:
        open_pack(path / "packs" / f"{pack}.pack")
    except StoreDamaged:
        return False
    return True


def _row(record: CommitRecord, packs: set[str], changed: tuple[Changed, ...]) -> Row:
    return Row(
        commit=record.id,
        kind=record.kind,
        position=str(record.position.get("text", "")),
        created=record.created,
        bytes_total=record.bytes_total,
        bytes_new=record.bytes_new,
        whole=state_packs(record) <= packs,
        inexact=tuple(map(str, record.meta.get("inexact", ()))),
        unit="" if record.unit is None else f"{record.unit['group']} {record.unit['key']}",
        changed=changed,
    )


def changes(record: CommitRecord, before: CommitRecord | None) -> tuple[Changed, ...]:
    """What of `record` is new or other than in `before`, the most bytes first."""
    old = {(kind, name): entry for kind, name, entry in entries(before)} if before is not None else {}
    known = {chunk for entry in old.values() for chunk in entry["chunks"]}
    found = []
    for kind, name, entry in entries(record):
        same = old.get((kind, name))
        if same is not None and same["chunks"] == entry["chunks"]:
            continue
        sizes = [min(CHUNK_BYTES, entry["size"] - start) for start in range(0, entry["size"], CHUNK_BYTES)]
        new = sum(size for chunk, size in zip(entry["chunks"], sizes, strict=True) if chunk not in known)
        if new:
            found.append(Changed(kind, name, entry["size"], new))
    return tuple(sorted(found, key=lambda change: (-change.new, change.name)))


def entries(record: CommitRecord) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every entry of a record: what kind, what people call it, and the entry."""
    raw = whole_of(record)
    yield from (("part", name, entry) for name, entry in raw["parts"].items())
    yield from (("buffer", str(entry.get("label") or entry["key"]), entry) for entry in raw["buffers"])
    yield from (("file", name, entry) for name, entry in raw["files"].items())
    yield from (("unit's file", name, entry) for name, entry in raw["unit_files"].items())


def holder(path: Path) -> Holder | None:
    """Who holds the store at `path`; None where no lease can be read."""
    leases, _ = read_leases(path / "leases")
    if not leases:
        return None
    lease: Lease = leases[-1]
    here = lease.owner.host == lease.owner.me().host
    held = not lease.released and (lease.owner.lives() or not here)
    return Holder(lease.generation, lease.owner.pid, lease.owner.host, lease.notebook, lease.created, held)


def verify(path: Path) -> list[str]:
    """Read every byte of the store at `path`; one line for each thing that is not as it was written.

    What somebody writes there meanwhile comes and goes: only what is wrong at two looks is told.
    """
    found = _looked_through(path)
    again = set(_looked_through(path)) if found else set()
    return [line for line in found if line in again]


def _looked_through(path: Path) -> list[str]:
    view = StoreView(path)
    whole, units = view.retained()
    found = [f"commit {problem.commit}: {problem.reason}" for problem in view.problems]
    found += [f"lease {problem.commit}: {problem.reason}" for problem in view.lineage]
    told = {problem.commit for problem in view.problems}

    def needed_by(pack: str) -> str:
        users = [r.id for r in whole if pack in state_packs(r) | unit_packs(r)]
        users += [r.id for r in units if pack in unit_packs(r) and r.id not in users]
        return f"; needed by {', '.join(users)}" if users else "; no commit that counts needs it"

    found += _files_of(path, told, needed_by)
    for name in sorted(packs_needed(whole, units)):
        if not (path / "packs" / f"{name}.pack").exists():
            found.append(f"pack {name[:12]} is missing{needed_by(name)}")
    return found + _missing_chunks(path, [*whole, *units])


def _files_of(path: Path, told: set[str], needed_by: Callable[[str], str]) -> Iterator[str]:
    """Files that are not as their names say, and such as no store has; temporary ones of a killed writer are none of these."""
    for part, known in (("packs", (PACK_NAME,)), ("commits", (RECORD_NAME,)), ("leases", (LEASE_NAME, MARK_NAME, BEAT_NAME))):
        folder = path / part
        if not folder.is_dir():
            yield f"the folder {part} is missing"
            continue
        for file in sorted(folder.iterdir()):
            if file.name.startswith(TEMPORARY):
                continue
            if not any(name.match(file.name) for name in known):
                yield f"{part}/{file.name[:80]!r} is no file of a store; its name may be damaged"
            elif part == "packs":
                yield from (line + needed_by(file.stem) for line in _said(verify_pack, file))
            elif part == "commits" and file.stem not in told:
                yield from _said(_check_record_file, file)
            elif file.suffix == ".released" and not file.with_suffix(".json").exists():
                yield f"leases/{file.name} gives back a lease that is missing"


def _said(check: Any, file: Path) -> Iterator[str]:
    try:
        check(file)
    except (StoreDamaged, OSError) as error:
        yield str(error) if file.stem[:12] in str(error) else f"{file.parent.name}/{file.stem}: {error}"


def _check_record_file(file: Path) -> None:
    """One that counts was read already; another generation's is looked at by its hash."""
    read_record(file)


def _missing_chunks(path: Path, records: list[CommitRecord]) -> list[str]:
    found: dict[str, None] = {}
    indices: dict[str, Mapping[str, tuple[int, int]]] = {}
    for record in records:
        try:
            listed = list(entries(record))
        except StoreDamaged as error:
            found[f"commit {record.id}: {error}"] = None
            continue
        for kind, name, entry in listed:
            sizes = [min(CHUNK_BYTES, entry["size"] - start) for start in range(0, entry["size"], CHUNK_BYTES)]
            for chunk, pack, size in zip(entry["chunks"], entry["packs"], sizes, strict=True):
                if pack not in indices:
                    try:
                        indices[pack] = open_pack(path / "packs" / f"{pack}.pack").index
                    except StoreDamaged:
                        indices[pack] = {}
                if indices[pack] and indices[pack].get(chunk, (0, -1))[1] != size:
                    found[f"commit {record.id}: the {kind} {name!r} needs a chunk that pack {pack[:12]} does not have"] = None
    return list(found)
