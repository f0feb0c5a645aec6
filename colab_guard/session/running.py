"""Functions that were running at a commit, generators that were waiting, and functions that its state holds the code of.

A position means something in the code that it was taken in. So each of them must be here with the same code (comments
and docstrings do not count), which is looked at before anything is restored or runs. Where one was edited and its
loops, calls and blocks are the same, `--resume` goes on in the edited code; where they are not, it is refused.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from colab_guard import cells, store
from colab_guard.cells import CELL
from colab_guard.errors import FunctionChanged
from colab_guard.snapshots import Position

AGAIN = "--fresh begins again, another NAME keeps both"


def check(name: str, cell: cells.CompiledCell, record: store.CommitRecord, *, resume: bool) -> None:
    """Raise FunctionChanged for the first function that is not as it was; with `resume`, take edited ones that fit."""
    position = Position.from_json(record.position)
    where = "its end" if record.kind == "cell" else position.text
    for kept, what in _needed(position):
        if kept.get("module"):
            _read_module(cell, str(kept["module"]), str(kept["id"]))
        ident = str(kept["id"])
        if ident == CELL:
            _check_cell_itself(name, where, cell, kept)
            continue
        told = f"{name!r} was saved at {where} {what.format(ident.partition('#')[0] + '()')}"
        same = cell.functions.by_name(ident)
        if same is not None and not _fits(kept, same.info, same.original):
            raise FunctionChanged(f"{told}, and what it calls has other loops now, so the position means nothing in it; {AGAIN}")
        if same is not None:
            continue
        found = cell.functions.namesake(ident)
        if found is None:
            raise FunctionChanged(f"{told}, which is not here; run the cell that defines it and then this one again, or {AGAIN}")
        if kept.get("module"):
            raise FunctionChanged(f"{told}, and {kept['module']} has other code here; install the version of then, or {AGAIN}")
        if not _fits(kept, found.info, found.original):
            raise FunctionChanged(
                f"{told}, and its code was changed: it has other loops, calls or blocks now, so the position means nothing "
                f"in it; undo the change to go on, or {AGAIN}"
            )
        if not resume:
            raise FunctionChanged(f"{told}, and its code was changed; --resume goes on in the changed code from there, {AGAIN}")
        cell.functions.aliases[ident] = found.id


def _needed(position: Position) -> Iterator[tuple[Mapping[str, Any], str]]:
    for frame in position.frames:
        yield frame, "while {} was running"
    for function in position.functions:
        yield function, "with a waiting generator of {}" if function["kind"] == "generator" else "with a function made by {}"


def _check_cell_itself(name: str, where: str, cell: cells.CompiledCell, kept: Mapping[str, Any]) -> None:
    """An edited statement of the cell that was under way must have evaluated the same before the call that it waits for."""
    point = cell.info.points.get(int(kept["point"]))
    if point is not None and list(point.temps) != list(kept["temps"]):
        raise FunctionChanged(
            f"{name!r} was saved at {where} in the middle of line {point.line}, which was changed: what it had evaluated "
            f"before its call means nothing in it now; undo the change to go on, or {AGAIN}"
        )


def _fits(kept: Mapping[str, Any], info: cells.FrameInfo, original: Any) -> bool:
    free = sorted(original.co_freevars) if original is not None else []
    if kept.get("kind") == "code":
        return list(kept["free"]) == free
    same = list(kept["signature"]) == info.signature() and set(info.cells) <= set(kept["cells"])
    if not same or "point" not in kept:
        return same
    point = info.points.get(int(kept["point"]))
    return point is not None and list(point.temps) == list(kept["temps"])


def _read_module(cell: cells.CompiledCell, module: str, ident: str) -> None:
    """Know the function `ident` of a library's module, by its file; without importing it."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return
    # a module that is frozen into Python says so instead of naming its file, but is there from the start
    file = getattr(sys.modules.get(module), "__file__", None) or (found.origin if found is not None else None)
    if file:
        cell.functions.read_library(file, ident)
