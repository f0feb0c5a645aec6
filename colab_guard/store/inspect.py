"""Looking at a store for people: what is in it, and whether every byte of it is as it was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from colab_guard.errors import StoreDamaged
from colab_guard.store.index import state_packs
from colab_guard.store.packs import packs_in, verify_pack
from colab_guard.store.view import StoreView, packs_needed, unit_packs


@dataclass(frozen=True, slots=True)
class Row:
    """One commit: `whole` says whether its state can be resumed from (False: collected, or damaged)."""

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


def describe(path: Path) -> list[Row]:
    """The commits of the store at `path`, newest first. Reads records and the names of packs; never unpickles."""
    view = StoreView(path)
    packs = {pack.name.removesuffix(".pack") for pack in packs_in(path / "packs")}
    return [
        Row(
            commit=record.id,
            kind=record.kind,
            position=str(record.position.get("text", "")),
            created=record.created,
            bytes_total=record.bytes_total,
            bytes_new=record.bytes_new,
            whole=state_packs(record) <= packs,
            inexact=tuple(record.meta.get("inexact", ())),
            unit="" if record.unit is None else f"{record.unit['group']} {record.unit['key']}",
        )
        for record in view.commits()
    ]


def verify(path: Path) -> list[str]:
    """Read every byte of the store at `path`; one line for each thing that is not as it was written."""
    view = StoreView(path)
    whole, units = view.retained()
    found = [f"commit {problem.commit}: {problem.reason}" for problem in [*view.problems, *view.lineage]]
    for pack in sorted(packs_in(path / "packs")):
        try:
            verify_pack(pack)
        except StoreDamaged as error:
            found.append(str(error))
    for name in sorted(packs_needed(whole, units)):
        if not (path / "packs" / f"{name}.pack").exists():
            users = [r.id for r in whole if name in state_packs(r) | unit_packs(r)]
            users += [r.id for r in units if name in unit_packs(r) and r.id not in users]
            found.append(f"pack {name[:12]} is missing; needed by {', '.join(users)}")
    return found
