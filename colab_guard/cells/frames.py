"""From running frames to a position, and back: what a snapshot keeps of each frame between the cell and a safe point."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from colab_guard.cells.iterators import LoopState
from colab_guard.cells.loops import Loop
from colab_guard.cells.points import CELL, Chain, FrameInfo, Point
from colab_guard.cells.rewrite import context_name, loop_name
from colab_guard.errors import SnapshotRefused
from colab_guard.snapshots import Position

RE_ENTRY = "colab_guard.cells.runtime"
"""The module whose `call` stands between the cell and a library loop that was entered again."""


@dataclass(slots=True)
class FrameEntry:
    """One frame of a position. `locals` is None for the cell, whose names are captured by themselves."""

    frame: str
    point: int
    chain: Chain
    loops: dict[int, LoopState] = field(default_factory=dict)
    contexts: dict[int, list[Any]] = field(default_factory=dict)
    locals: dict[str, Any] | None = None

    @property
    def on_path(self) -> frozenset[int]:
        return frozenset(k for k, _ in self.chain) | {self.point}

    def arm(self, point: int) -> str | None:
        return dict(self.chain).get(point)


def calling_point(frame: FrameType, info: FrameInfo) -> Point | None:
    """The point of the call that `frame` is in, if it is one of `info`'s."""
    where = next(itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), None)
    if where is None:
        return None
    number = info.calls.get((where[1] or 0, where[3] or 0))
    return None if number is None else info.points[number]


def entry_of(names: Mapping[str, Any], info: FrameInfo, point: Point) -> FrameEntry:
    """What a snapshot keeps of a frame that stands at `point`; `names` are its variables."""
    entry = FrameEntry(info.id, point.id, point.chain)
    steps: list[tuple[int, str]] = [*point.chain, *([(point.id, "body")] if point.is_loop else [])]
    for number, arm in steps:
        part = info.points[number]
        if part.is_loop and arm == "body":
            loop = names[loop_name(number)]
            _refuse_barred(loop, part)
            entry.loops[number] = loop.state()
        elif part.is_loop:
            entry.loops[number] = LoopState("while", 0)
        elif part.kind == "with":
            entry.contexts[number] = _contexts(names, number)
    return entry


def describe(names: Mapping[str, Any], info: FrameInfo, point: Point, inside: str = "") -> Position:
    """The position of `point`, in words and numbers; reads counts only."""
    loops = [info.points[k] for k, arm in point.chain if info.points[k].is_loop and arm == "body"]
    counts = [names[loop_name(part.id)].done + 1 for part in loops]
    if point.is_loop:
        loops.append(point)
        counts.append(names[loop_name(point.id)].done + 1)
    words = [_told(names[loop_name(part.id)], part, count) for part, count in zip(loops, counts, strict=True)]
    if not point.is_loop and point.kind == "stmt":
        words.append(f"after line {point.line}")
    if inside:
        words.append(inside)
    unit = counts[0] - 1 if counts else None
    return Position(", ".join(words) or "the cell's start", len(loops) + bool(inside), unit, info.signature())


def _told(loop: Loop, point: Point, count: int) -> str:
    """Where a loop is, in people's words: a governed loop's by its item, where it has a name."""
    item = loop.item
    if item is not None:
        return f"model {getattr(item, 'index', count - 1) + 1} ({getattr(item, 'label', item)})"
    if loop.policy is not None:
        return f"between models, {count - 1} done in this loop"
    return f"iteration {count:,} of '{point.text}' (line {point.line})"


def frame_below(frame: FrameType | None, codes: Mapping[Any, FrameInfo], namespace: Mapping[str, Any]) -> tuple[FrameType, FrameType]:
    """The nearest instrumented frame at or below `frame`, and the frame that it called.

    Raises SnapshotRefused where code of the notebook that is not instrumented stands in between.
    """
    called = frame
    while frame is not None:
        if frame.f_code in codes:
            assert called is not None
            return frame, called
        if frame.f_globals is namespace:
            raise SnapshotRefused(f"inside {frame.f_code.co_qualname}(): loops in functions are not resumable yet")
        if frame.f_globals.get("__name__") != RE_ENTRY:
            called = frame
        frame = frame.f_back
    raise SnapshotRefused("not called from the guarded cell")


def _refuse_barred(loop: Loop, point: Point) -> None:
    if loop.mode == "barred":
        raise SnapshotRefused(f"the loop at line {point.line} iterates a generator, whose place cannot be kept")


def _contexts(names: Mapping[str, Any], number: int) -> list[Any]:
    found: list[Any] = []
    while (name := context_name(number, len(found))) in names:
        found.append(names[name])
    return found


__all__ = ["CELL", "FrameEntry", "calling_point", "describe", "entry_of", "frame_below"]
