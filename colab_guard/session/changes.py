"""What an edited notebook means for a commit that is to be taken up: what changed, and what the options do about it.

`check_cell` compares the cell's code, `check_inputs` what it reads, `check_devices` where its tensors were. Each gives
what a resume needs to know, or raises the one line that names the change and what to type.
"""

from __future__ import annotations

import difflib
import importlib
import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from colab_guard import cells, hosts, state, store
from colab_guard.errors import CellChanged, DeviceMissing, InputChanged, PythonChanged, SecretMissing, StateNotRegistered, StoreDamaged
from colab_guard.session import inputs, output
from colab_guard.snapshots import Position

TOLD = 5
LIKE = 0.4
"""Shares of equal words in two codes above which one is taken for an edit of the other."""
CODE = b"CodeType"
"""What a pickle that holds a function's instructions names."""
LINES = re.compile(r"\bline (\d+)\b")


def check_cell(shell: Any, name: str, cell: cells.CompiledCell, record: store.CommitRecord, *, resume: bool) -> cells.Edit:
    """What changed in the cell since `record`, where that can be taken up; raises CellChanged where it cannot, or is not asked."""
    committed = Position.from_json(record.position)
    finished = record.kind == "cell"
    fits = finished or committed.signature == cell.info.signature()
    edit = cells.Edit() if record.meta.get("cell") == cell.hash else _edit(shell, cell, record)
    if edit.same and fits:
        return edit
    if edit.same:
        raise CellChanged(
            f"{name!r} was saved at {committed.text} by a version of colab_guard that numbers the places in a cell in "
            "another way; install that version to go on, or --fresh begins again"
        )
    reaches = finished or all(_can_grow(change, committed) for change in edit.ranges)
    if edit.only_grown and fits and reaches and _can_be_made(shell, edit):
        return edit
    said = _another_notebooks(shell, record, cell)
    changed = f"{said}the cell's code is not the one committed as {name!r} ({committed.text}): {edit.told}"
    if finished:
        raise CellChanged(f"{changed}. It had ended; --fresh runs the changed code from its start, another NAME keeps both")
    if not fits:
        raise CellChanged(
            f"{changed}. It has other loops or blocks now, so its position means nothing in it; "
            "--fresh begins again, another NAME keeps both"
        )
    if not resume:
        raise CellChanged(
            f"{changed}. --resume goes on in the changed code from there, --fresh begins again, another NAME keeps both"
        )
    return edit


def _another_notebooks(shell: Any, record: store.CommitRecord, cell: cells.CompiledCell) -> str:
    """Said where nothing tells which notebook this is, and the committed code is not like the cell's at all."""
    source = record.meta.get("source")
    known = hosts.kernel_notebook(shell) and record.raw.get("notebook")  # another one's would have been refused already
    if known or not isinstance(source, str):
        return ""
    if difflib.SequenceMatcher(None, source.split(), cell.text.split(), autojunk=False).ratio() > LIKE:
        return ""
    return "another cell, maybe another notebook's, has used this NAME: "


def _edit(shell: Any, cell: cells.CompiledCell, record: store.CommitRecord) -> cells.Edit:
    source = record.meta.get("source")
    if not isinstance(source, str):
        return cells.Edit((), ("its source was not kept, so what changed cannot be told",))
    try:
        # what was committed has no secrets in it: neither has what it is compared with
        return cells.compare(transformed(shell, source), transformed(shell, state.scrubbed(cell.text)))
    except (SyntaxError, ValueError):
        return cells.Edit((), ("this Python cannot read the committed code",))


def transformed(shell: Any, text: str) -> str:
    """`text` as Python, with an empty line for that of the magic."""
    return "\n" + str(shell.transform_cell(text))


def _can_grow(change: cells.RangeChange, position: Position) -> bool:
    """Whether the loop is under way at `position`, or still to come; one that is over has not gone far enough."""
    return change.alone and (is_under_way(change, position) or _is_to_come(change, position))


def _can_be_made(shell: Any, edit: cells.Edit) -> bool:
    """Whether `Sweep` and `grid` mean here what they mean in this library, or nothing yet."""
    library = importlib.import_module("colab_guard.sweep")
    return not edit.grids or all(shell.user_ns.get(word, mine) is mine for word in ("Sweep", "grid") if (mine := getattr(library, word)))


def is_under_way(change: cells.RangeChange, position: Position) -> bool:
    return f"(line {change.committed_line})" in position.text


def _is_to_come(change: cells.RangeChange, position: Position) -> bool:
    lines = [int(line) for line in LINES.findall(position.text)]
    return bool(lines) and change.committed_line > max(lines)


def grow_loops(cell: cells.CompiledCell, edit: cells.Edit) -> None:
    """Tell the cell's loops that come back how far they go now."""
    for change in edit.ranges:
        for number, point in cell.info.points.items():
            if point.kind == "for" and point.line == change.line:
                cell.info.points[number] = replace(point, grown=change)


def snapshot_inside(opened: store.StoreView, edit: cells.Edit, name: str) -> store.Loaded:
    """Where a cell that had ended goes on when its ranges have grown: its newest snapshot inside those loops."""
    for record in opened.commits():
        position = Position.from_json(record.position)
        if record.kind != "cell" and all(change.alone and is_under_way(change, position) for change in edit.ranges):
            try:
                return opened.load(record)
            except StoreDamaged:  # its state was collected, or is damaged: an older one may serve
                continue
    raise CellChanged(
        f"{name!r} had ended, and no snapshot inside its loop is left to go on from ({edit.told}); "
        "--fresh runs the longer loop from its start, another NAME keeps both"
    )


def check_inputs(
    name: str,
    record: store.CommitRecord,
    compared: inputs.Comparison,
    *,
    resume: bool,
) -> list[str]:
    """Where the committed values are used though this kernel has others, in words; InputChanged where a person must decide."""
    if compared.asked and not resume:
        words = list(dict.fromkeys(compared.asked.values()))
        more = f"; and {len(words) - TOLD} more" if len(words) > TOLD else ""
        place, goes_on = Position.from_json(record.position).text, "goes on with the committed values, in the code that is here now"
        if record.kind == "cell":
            place, goes_on = "it had ended", "gives its committed results"
        raise InputChanged(
            f"{name!r} ({place}) did not begin with what this notebook has now: {'; '.join(words[:TOLD])}{more}. "
            f"--resume {goes_on}; --fresh begins again with what is here now; another NAME keeps both"
        )
    return [*compared.asked.values(), *compared.said.values()]


class GrownScope(cells.Scope):
    """A cell's names, where tables in `grown` (with their prints at the run's start) stay as this notebook has them now."""

    grown: Mapping[str, state.Print] = {}

    def set_names(self, needed: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
        for names in (needed["names"], kept["names"]):
            for name in self.grown.keys() & names.keys():
                if not state.take_print(name, names[name]).same_parts(self.grown[name]):
                    raise InputChanged(
                        f"{name} has new entries here, and the cell itself had changed it before the commit; "
                        "--resume goes on with the committed one, --fresh begins again"
                    )
                del names[name]
        super().set_names(needed, kept)


def check_python(name: str, committed: str, parts: Mapping[str, bytes]) -> None:
    """Raise PythonChanged where the snapshot holds instructions of another Python: to run them would end the kernel."""
    before, here = (".".join(version.split(".")[:2]) for version in (committed, platform.python_version()))
    pickles = [part for name, part in parts.items() if not name.startswith(output.PREFIX)]
    if before and before != here and any(CODE in bytes(part) for part in pickles):
        raise PythonChanged(
            f"{name!r} was saved by Python {before} with functions that are kept as its instructions (lambdas, or functions "
            f"that the cell defines), which Python {here} cannot run; go on with Python {before}, or --fresh begins again"
        )


def check_registered(name: str, outside: Mapping[str, Any], *, resume: bool) -> list[str]:
    """Raise StateNotRegistered where the snapshot's registered state has nowhere to go; with `--resume`, what is left out."""
    missing = [repr(one) for one in outside.get("registered", ()) if one not in state.registered_names()]
    if missing and not resume:
        raise StateNotRegistered(
            f"{name!r} was saved with the registered state {', '.join(missing)}, and nothing is registered under that name here; run "
            f"the cell that calls register_state({missing[0]}, ...), which must not be the guarded cell itself, or --resume goes on "
            "without it (not exact from there on), or --fresh begins again"
        )
    return [f"the registered state {one} was not put back" for one in missing]


def check_secrets(name: str, parts: Mapping[str, bytes], secrets: state.Secrets, *, resume: bool) -> list[str]:
    """Raise SecretMissing where a secret that the snapshot refers to is not here; what `--resume` takes another value for."""
    other = []
    for reference in state.secret_references(parts):
        value, words = secrets.value_of(reference), reference.words()
        if value is None:
            raise SecretMissing(
                f"{name!r} needs the value of {words}, which no snapshot holds and which is not here; set it in a cell above this "
                "one, run that, and run this one again; or --fresh begins again"
            )
        if not reference.matches(value):
            other.append(words)
    if other and not resume:
        raise SecretMissing(
            f"{name!r} was saved with another value of {', '.join(other)} than is here now; --resume goes on with the one that is "
            "here, --fresh begins again"
        )
    return other


def check_devices(name: str, parts: Mapping[str, bytes], *, resume: bool) -> tuple[str, ...]:
    """Devices of the snapshot that are not here and that `--resume` maps to the CPU; DeviceMissing without it."""
    missing = state.missing_devices(parts)
    if missing and not resume:
        raise DeviceMissing(
            f"{name!r} was saved with tensors on {', '.join(missing)}, which this machine does not have; take a machine "
            "that has it, or --resume maps them to the CPU (from there on not bit-exact), or --fresh begins again"
        )
    return missing
