"""From running frames to a position, and back: what a snapshot keeps of each frame between the cell and a safe point."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import CodeType, FrameType
from typing import Any

from colab_guard.cells.delegates import delegate_of, delegated
from colab_guard.cells.iterators import LoopState
from colab_guard.cells.loops import Loop
from colab_guard.cells.managers import kept
from colab_guard.cells.places import ending_at
from colab_guard.cells.points import CELL, Chain, FrameInfo, Point
from colab_guard.cells.rewrite import CELLS, context_name, loop_name
from colab_guard.cells.short import LATE
from colab_guard.cells.wrappers import is_thin, unwrapped
from colab_guard.errors import SnapshotRefused
from colab_guard.snapshots import Position

RE_ENTRY = tuple(f"colab_guard.cells.{module}" for module in ("delegates", "managers", "resuming", "runtime", "wrappers"))
"""The modules whose calls stand between a frame and what it had called, after a resume."""
TRAINING_ROOM = "colab_guard.training"
"""The package of the adapters, whose code stands in a library's loop and passes safe points there."""


SMALL = frozenset({bool, int, float, complex, type(None)})
SMALL_TEXT = 1000
HELD_BY_FRAME = 3
"""References to a frame's dictionary of variables: the frame's own, and those of whoever counts them."""


@dataclass(slots=True)
class FrameEntry:
    """One frame of a position.

    `locals` are a function's own variables as far as code to come reads them, and temporaries; of the cell, whose names
    are captured by themselves, temporaries only. `cells` are variables shared with other functions. `made` is the
    object that the call was to give (in a box), where the frame is an `__init__`. `delegate`: what a generator waits for.
    `fetching`: the next frame is the generator that the loop at this point asks for its next item. `around`: decorators
    of libraries by way of which the frame was called, outermost first.
    """

    frame: str
    point: int
    chain: Chain
    loops: dict[int, LoopState] = field(default_factory=dict)
    contexts: dict[int, list[Any]] = field(default_factory=dict)
    locals: dict[str, Any] = field(default_factory=dict)
    cells: dict[str, Any] = field(default_factory=dict)
    made: tuple[Any, ...] = ()
    delegate: Any = None
    fetching: bool = False
    around: tuple[types.FunctionType, ...] = ()

    @property
    def on_path(self) -> frozenset[int]:
        return frozenset(k for k, _ in self.chain) | {self.point}

    def arm(self, point: int) -> str | None:
        return dict(self.chain).get(point)


@dataclass(frozen=True, slots=True)
class Standing:
    """A running frame, and the point at which it stands.

    `constructs`: it is an `__init__` that makes an object. `fetching`: it is in its loop, and waits for a generator.
    `around`: what it was called by way of.
    """

    frame: FrameType
    info: FrameInfo
    point: Point
    constructs: bool = False
    fetching: bool = False
    around: tuple[types.FunctionType, ...] = ()

    @property
    def names(self) -> Mapping[str, Any]:
        return self.frame.f_globals if self.info.id == CELL else self.frame.f_locals

    def loops(self) -> list[tuple[Point, Loop]]:
        """The loops that are under way in this frame, outermost first."""
        numbers = [k for k, arm in self.point.chain if arm == "body"] + [self.point.id]
        points = [self.info.points[k] for k in numbers]
        return [(point, self.loop(point.id)) for point in points if point.is_loop]

    def loop(self, point: int) -> Loop:
        return self.names.get(loop_name(point)) or LATE[id(self.frame), point]


def stack(frame: FrameType, point: Point, codes: Mapping[CodeType, FrameInfo]) -> list[Standing]:
    """The frames from the cell's inwards to `frame`, which stands at `point`.

    Raises SnapshotRefused where one of them cannot be entered again.
    """
    found = [Standing(frame, codes[frame.f_code], point)]
    inner = frame
    while found[-1].info.id != CELL:
        if inner.f_code.co_flags & inspect.CO_GENERATOR:
            found.append(_asking(inner, codes))
            inner = found[-1].frame
            continue
        outer, passed = _caller(inner)
        if outer is None:
            raise SnapshotRefused("not called from the guarded cell")
        info = codes.get(outer.f_code)
        if info is None and str(outer.f_globals.get("__name__")).startswith("asyncio."):
            raise SnapshotRefused(f"{_said(inner)} runs as a task of its own (gathered, or created), which cannot be entered again")
        if info is None:
            raise SnapshotRefused(f"{_said(inner)} was called from {_said(outer)}, which cannot be entered again")
        number = info.calls.get(ending_at(outer))
        if number is None:
            raise SnapshotRefused(f"{_said(inner)} was called in a place that cannot be entered again (line {outer.f_lineno})")
        standing = Standing(outer, info, info.points[number])
        callee, around = unwrapped(_callee(standing))
        leads, constructs = _leads_to(callee, found[-1].frame.f_code, codes)
        if not leads or [wrapper.__code__ for wrapper in around] != passed:
            raise SnapshotRefused(f"{_said(inner)} was called by way of code that is not the notebook's")
        found[-1] = replace(found[-1], constructs=constructs, around=tuple(around))
        found.append(standing)
        inner = outer
    for standing in found:
        _refuse_bare(standing)
    return found[::-1]


def _caller(frame: FrameType) -> tuple[FrameType | None, list[CodeType]]:
    """The frame that called `frame`, and the code of the thin wrappers between them, outermost first."""
    passed: list[CodeType] = []
    outer = frame.f_back
    while outer is not None:
        if is_thin(outer):
            passed.insert(0, outer.f_code)
        elif outer.f_globals.get("__name__") not in RE_ENTRY:
            break
        outer = outer.f_back
    return outer, passed


def _asking(frame: FrameType, codes: Mapping[CodeType, FrameInfo]) -> Standing:
    """The frame whose loop, or whose `yield from`, asks the running generator `frame` for its next item."""
    loop = frame.f_back.f_locals.get("self") if frame.f_back is not None else None
    outer = frame.f_back.f_back if isinstance(loop, Loop) and frame.f_back is not None else None
    info = codes.get(outer.f_code) if outer is not None else None
    if (found := delegated(frame, codes)) is not None:
        return Standing(*found)
    if not isinstance(loop, Loop) or outer is None or info is None or not loop.asks(frame):
        raise SnapshotRefused(f"the generator {_said(frame)} is asked for items by what cannot be entered again")
    return Standing(outer, info, loop.where, fetching=True)


def _said(frame: FrameType) -> str:
    name = frame.f_code.co_name
    return "the cell" if name == "<module>" else f"{name}()"


def _refuse_bare(standing: Standing) -> None:
    names = standing.names
    for number, arm in standing.point.chain:
        if not standing.info.points[number].is_loop or arm != "body":
            continue
        if names.get(loop_name(number)) is None and (id(standing.frame), number) not in LATE:
            raise SnapshotRefused(f"inside a short loop (line {standing.info.points[number].line})")


def _callee(standing: Standing) -> Any:
    """What the call at which a frame stands calls, looked up anew; None where that is not possible."""
    first, *path = standing.point.callee
    names, everything = standing.names, standing.frame.f_globals
    if first == "super" or not first:
        return _unknown
    found = names[first] if first in names else everything.get(first)
    for part in path:
        try:
            found = getattr(found, part)
        except AttributeError:
            return None
    return found


def _unknown() -> None:
    """Stands for a callee that is not looked up; every frame may be its."""


def _leads_to(callee: Any, code: CodeType, codes: Mapping[CodeType, FrameInfo]) -> tuple[bool, bool]:
    """Whether calling `callee` runs the function with `code` at once; and whether the call gives a new object."""
    for _ in range(20):
        if callee is _unknown:
            return True, False
        if isinstance(callee, types.MethodType):
            callee = callee.__func__
        elif isinstance(callee, functools.partial):
            callee = callee.func
        elif isinstance(callee, types.FunctionType):
            return _same(callee.__code__, code, codes), False
        elif isinstance(callee, type):
            return _leads_to(callee.__init__, code, codes)[0], True  # type: ignore[misc]
        elif isinstance(called := inspect.getattr_static(type(callee), "__call__", None), types.FunctionType):
            callee = called
        else:
            return False, False
    return False, False


def _same(one: CodeType, other: CodeType, codes: Mapping[CodeType, FrameInfo]) -> bool:
    if one is other or one == other:
        return True
    first, second = codes.get(one), codes.get(other)
    return first is not None and second is not None and first.id == second.id


def forget_locals(frame: FrameType) -> None:
    """Let the frame not hold what its variables were when they were looked at: before Python 3.13 it keeps a dictionary of them.

    One that somebody else holds (`locals()`) stays as it is.
    """
    if sys.version_info >= (3, 13) or not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        return
    names = frame.f_locals
    if sys.getrefcount(names) <= HELD_BY_FRAME:
        names.clear()


def entry_of(standing: Standing) -> FrameEntry:
    """What a snapshot keeps of a frame; references, not copies."""
    names, info, point = standing.names, standing.info, standing.point
    entry = FrameEntry(info.id, point.id, point.chain, fetching=standing.fetching, around=standing.around)
    steps: list[tuple[int, str]] = [*point.chain, *([(point.id, "body")] if point.is_loop else [])]
    for number, arm in steps:
        part = info.points[number]
        if part.is_loop and arm == "body":
            loop = standing.loop(number)
            _refuse_barred(loop, part)
            entry.loops[number] = loop.state()
        elif part.is_loop:
            entry.loops[number] = LoopState("while", 0)
        elif part.kind == "with":
            entry.contexts[number] = _contexts(names, number)
    entry.locals = {name: names[name] for name in point.temps if name in names}
    entry.delegate = delegate_of(names, point)
    if info.id != CELL:
        entry.locals |= own_variables(names, info, point)
        entry.cells = cells_of(names.get(CELLS))
        if standing.constructs:
            entry.made = (names[info.first],)
    return entry


def own_variables(names: Mapping[str, Any], info: FrameInfo, point: Point | None) -> dict[str, Any]:
    """A function's own variables that code to come may read, and small ones that only a debugger would look at.

    What the call at `point` is made by counts too: the next snapshot looks it up again.
    """
    present = {name: names[name] for name in info.locals if name in names}
    if point is None:
        return present
    live = point.live.union(point.callee[:1])
    return {n: value for n, value in present.items() if n in live or _private(n) in live or _is_small(value)}


def _is_small(value: Any) -> bool:
    return type(value) in SMALL or (type(value) in (str, bytes) and len(value) <= SMALL_TEXT)


def _private(name: str) -> str:
    """`__x` for `_Class__x`, as the source has it."""
    found = name.find("__", 1)
    return name[found:] if found > 0 and name.startswith("_") else name


def cells_of(holder: Any) -> dict[str, Any]:
    """The cells of the frame whose hidden function `holder` closes over all of them."""
    if holder is None:
        return {}
    return dict(zip(holder.__code__.co_freevars, holder.__closure__ or (), strict=True))


def describe(standings: Sequence[Standing], inside: str = "") -> Position:
    """The position of a safe point, in words and numbers; reads counts only."""
    words: list[str] = []
    depth = 0
    unit: int | None = None
    for standing in standings:
        within = standing.info.id != CELL
        for point, loop in standing.loops():
            words.append(_told(loop, point, loop.done + 1, standing.info.name if within else ""))
            unit = loop.done if unit is None else unit
            depth += 1
        depth += within
    last = standings[-1]
    if last.point.kind == "stmt":
        words.append(f"after line {last.point.line}")
    elif last.info.id != CELL and not last.loops():
        words.append(f"in {last.info.name}()")
    if inside:
        words.append(inside)
    text = ", ".join(words) or "the cell's start"
    frames = [standing.info.shape() | {"temps": list(standing.point.temps), "point": standing.point.id} for standing in standings]
    return Position(text, depth + bool(inside), unit, standings[0].info.signature(), frames)


def _told(loop: Loop, point: Point, count: int, function: str) -> str:
    """Where a loop is, in people's words: a governed loop's by its item, where it has a name."""
    item = _named(loop.item)
    if item is not None:
        index = getattr(item, "index", None)
        return f"model {(index if isinstance(index, int) else count - 1) + 1} ({getattr(item, 'label', item)})"
    if loop.policy is not None:
        return f"between models, {count - 1} done in this loop"
    where = f"in {function}()" if function else f"(line {point.line})"
    return f"iteration {count:,} of '{point.text}' {where}"


def _named(item: Any) -> Any:
    """The part of a governed loop's item that has a name: `(number, run)` is the run."""
    if not isinstance(item, tuple):
        return item
    return next((part for part in map(_named, item) if hasattr(part, "label")), item)


def _refuse_barred(loop: Loop, point: Point) -> None:
    if loop.mode == "barred":
        raise SnapshotRefused(f"the loop at line {point.line} goes over an iterator whose place cannot be kept")


def _contexts(names: Mapping[str, Any], number: int) -> list[Any]:
    found: list[Any] = []
    while (name := context_name(number, len(found))) in names:
        found.append(kept(names[name]))
    return found
