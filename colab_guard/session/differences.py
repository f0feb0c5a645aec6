"""All that differs between a commit that is to be taken up and what is here now, found before anything runs or is restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from colab_guard import cells, state, store
from colab_guard.events import CommittedUsed, EventBus, NotBitExact
from colab_guard.session import changes, inputs, running, surroundings
from colab_guard.session.options import CheckpointOptions


@dataclass(frozen=True, slots=True)
class Differences:
    """What a resume needs to know, and what every commit from now on carries (`meta`).

    `inputs`: prints to compare with on the next resume. `committed_used`: where the committed value is used though this
    kernel has another. `grown`: tables that stay as they are here. `inexact`: why bits may differ, from now on or before.
    """

    inputs: Mapping[str, inputs.Input] = field(default_factory=dict)
    loaded: Any = None
    committed_used: tuple[str, ...] = ()
    grown: Mapping[str, state.Print] = field(default_factory=dict)
    missing_devices: tuple[str, ...] = ()
    inexact_before: tuple[str, ...] = ()
    inexact_now: tuple[str, ...] = ()
    grids: tuple[cells.GridChange, ...] = ()
    """Sweeps that the cell made, and makes from other grids now."""

    @property
    def meta(self) -> dict[str, Any]:
        return {"inputs": inputs.to_json(self.inputs), "inexact": [*self.inexact_before, *self.inexact_now]}

    def say(self, name: str, bus: EventBus) -> None:
        """Post what a person is told when the commit has been taken up."""
        if self.committed_used:
            bus.post(CommittedUsed(name=name, changes=self.committed_used))
        if self.inexact_before:
            bus.post(NotBitExact(name=name, reasons=self.inexact_before, since="before"))
        if self.inexact_now:
            bus.post(NotBitExact(name=name, reasons=self.inexact_now))


def look(
    shell: Any,
    name: str,
    cell: cells.CompiledCell,
    opened: store.StoreView,
    loaded: store.Loaded,
    here: Mapping[str, inputs.Input],
    left: Mapping[str, inputs.Left],
    options: CheckpointOptions,
) -> Differences:
    """Compare; raises the error that names what changed where a person must decide. `cell`'s loops learn what has grown."""
    record = loaded.record
    edit = changes.check_cell(shell, name, cell, record, resume=options.resume)
    running.check(name, cell, record, resume=options.resume)
    committed = inputs.from_json(record.meta.get("inputs", {}))
    compared = inputs.compare(
        committed, here, shell.user_ns, left, options.skip, _may_grow(changes.transformed(shell, cell.text), opened, options)
    )
    used = changes.check_inputs(name, record, compared, resume=options.resume)
    changes.check_python(name, record.meta.get("versions", {}).get("python", ""), loaded.parts)
    outside = record.meta.get("outside", {})
    without = changes.check_registered(name, outside, resume=options.resume)
    without += [f"{path} had changed while the cell ran, and is in no snapshot" for path in outside.get("lost", ())]
    here_now = changes.check_secrets(name, loaded.parts, state.Secrets(shell.user_ns, cell.original), resume=options.resume)
    without += [f"{words} has another value than at the commit" for words in here_now]
    missing = changes.check_devices(name, loaded.parts, resume=options.resume)
    # code and tables that are taken as they are here are what the next resume compares with; values are the committed ones
    live = {n for n in here if n in compared.grown or here[n].print.kind == "code"}
    if edit.only_grown:
        changes.grow_loops(cell, edit)
        if record.kind == "cell" and edit.ranges:
            loaded = changes.snapshot_inside(opened, edit, name)
    return Differences(
        inputs={n: one for n, one in here.items() if n in live or not edit.same}
        | {n: one for n, one in committed.items() if n not in live},
        loaded=loaded,
        committed_used=tuple(used),
        grown=compared.grown,
        missing_devices=missing,
        inexact_before=tuple(record.meta.get("inexact", ())),
        inexact_now=(*_inexact(record, missing), *without),
        grids=edit.grids if edit.only_grown else (),
    )


def _inexact(record: store.CommitRecord, missing: tuple[str, ...]) -> list[str]:
    """Why bits may differ from now on; a device whose memory comes to lie on the CPU is always among it."""
    found = surroundings.differences(record.meta)
    return [*found, *(f"{device} → CPU" for device in missing if not any(why.startswith(f"{device} ") for why in found))]


def _may_grow(source: str, opened: store.StoreView, options: CheckpointOptions) -> Callable[[str], bool]:
    """Tables may have new entries where a sweep governs the cell's loop, and no loop goes over them."""
    if options.resume or not opened.units():
        return lambda name: False
    gone_over = cells.iterated_names(source)
    return lambda name: name not in gone_over
