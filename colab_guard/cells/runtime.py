"""What rewritten code calls while it runs: `_cg_` in the user's namespace for the time of one guarded cell.

`R` is true while a resume finds its way back to the position; the rewritten code then asks `at`, `br`, `ctx`, `loop`
and `call` where to go, and `arrived` ends it: names are set once more (a re-entered `with ... as f` may have bound one
anew) and random state comes last.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FrameType
from typing import Any

from colab_guard.cells.edits import RangeChange
from colab_guard.cells.frames import FrameEntry, calling_point, describe, entry_of, frame_below
from colab_guard.cells.iterators import LoopState
from colab_guard.cells.loops import Loop
from colab_guard.cells.points import FrameInfo, Point
from colab_guard.cells.protocols import LibraryLoop, LoopPolicy, PolicyFactory
from colab_guard.cells.rewrite import loop_name
from colab_guard.cells.scope import Scope
from colab_guard.errors import CannotResume, SnapshotRefused
from colab_guard.snapshots import Engine, Position, UnitRecord

TRAINING_ROOM = "colab_guard.training"


class RollBack(BaseException):
    """Unwinds to the executor, which restores the newest snapshot and runs again."""


class Runtime:
    """One guarded cell's runtime; see the module's docstring for how rewritten code uses it."""

    TICKS = object()

    def __init__(
        self,
        codes: Mapping[CodeType, FrameInfo],
        cell: FrameInfo,
        scope: Scope,
        engine: Engine,
        now: Callable[[], float],
        *,
        policies: Sequence[PolicyFactory] = (),
        units: Sequence[UnitRecord] = (),
    ) -> None:
        self.R = False
        self.now = now
        self._codes = codes
        self._cell = cell
        self._scope = scope
        self._engine = engine
        self._policies = policies
        self._units = list(units)
        self._entry: FrameEntry | None = None
        self._library_state: object | None = None
        self._on_arrival: Callable[[], None] = _nothing
        self._set_random: Callable[[], None] = _nothing
        self._thread = threading.get_ident()

    # resuming

    def resume(
        self, entry: FrameEntry, library: object | None, set_names: Callable[[], None], set_random: Callable[[], None]
    ) -> None:
        """From now on find the way to `entry`."""
        self._entry, self._library_state = entry, library
        self._on_arrival, self._set_random = set_names, set_random
        self.R = True

    def at(self, *points: int) -> bool:
        assert self._entry is not None
        return not self._entry.on_path.isdisjoint(points)

    def br(self, point: int) -> bool:
        assert self._entry is not None
        return self._entry.arm(point) == "body"

    def ctx(self, point: int, item: int, again: Callable[[], Any]) -> Any:
        """The context manager to enter again: the restored one, or a new one where it serves once only."""
        assert self._entry is not None
        kept = self._entry.contexts.get(point, [])
        manager: Any = kept[item] if item < len(kept) else None
        if type(manager).__name__ == "_GeneratorContextManager":
            return type(manager)(manager.func, manager.args, manager.kwds)
        return again() if manager is None else manager

    def arrived(self) -> None:
        """The position is reached: the code runs on from here."""
        self._on_arrival()
        self.R = False
        self._entry = None
        self._set_random()

    def call(self, point: int, function: Callable[..., Any]) -> Any:
        """Enter a library loop again; its arguments are part of the state that the loop itself kept."""
        self._on_arrival()
        self.R = False
        self._entry = None
        result = function()
        if self._library_state is not None:
            raise CannotResume(f"line {self.line(point)} did not enter the library loop that was under way")
        return result

    # LoopNeeds, for library loops

    def resuming(self, loop: LibraryLoop) -> object | None:
        kept, self._library_state = self._library_state, None
        return kept

    def resumed(self, loop: LibraryLoop) -> None:
        self._set_random()

    def poll(self, loop: LibraryLoop, capture: Callable[[], object], where: str = "") -> None:
        if not self._engine.due() or threading.get_ident() != self._thread:
            return
        try:
            frame, called = frame_below(sys._getframe(1), self._codes, self._scope.namespace)
            if not str(called.f_globals.get("__name__", "")).startswith(TRAINING_ROOM):
                raise SnapshotRefused(f"inside {called.f_code.co_qualname}(), between the cell and {loop.name}")
            point = calling_point(frame, self._cell)
            if point is None:
                raise SnapshotRefused(f"{loop.name} was called in a place that cannot be entered again")
        except SnapshotRefused as refusal:
            self._engine.refuse(Position(loop.name, 0), str(refusal))
            return
        self._snapshot("step", frame, point, where or loop.name, capture)

    # loops and safe points

    def loop(self, point: int, iterable: Any) -> Loop:
        if not self.R:
            loop = (
                Loop(self, point, LoopState("while", 0))
                if iterable is self.TICKS
                else Loop.enter(self, point, iterable)
            )
            self._govern(loop, iterable)
            return loop
        assert self._entry is not None
        kept = self._entry.loops[point]
        if self._entry.point == point:
            loop = Loop(self, point, kept, "before")
        else:
            loop = Loop(self, point, kept, "inside" if self._entry.arm(point) == "body" else "orelse")
        self._govern(loop, kept.iterator)
        return loop

    def safe(self, loop: Loop) -> int:
        """A loop's own safe point; gives the number of iterations until the next look."""
        now = self.now()
        if self._engine.due() and threading.get_ident() == self._thread:
            frame = sys._getframe(1).f_back
            if frame is not None:
                self._loop_point(loop, frame)
            loop.pace.last = self.now()
            return loop.pace.looks
        return loop.pace.next(now)

    def point(self, number: int) -> None:
        """The safe point after a statement of the cell."""
        if self._engine.due():
            self._snapshot("step", sys._getframe(1), self._cell.points[number])

    def unit_end(self, loop: Loop, unit: UnitRecord | None) -> None:
        """A unit of a governed loop is over."""
        if unit is None:
            return
        self._units.append(unit)
        frame, _ = frame_below(sys._getframe(1), self._codes, self._scope.namespace)
        self._snapshot("unit", frame, self._cell.points[loop.point], unit=unit)

    def roll_back(self, error: BaseException) -> None:
        raise RollBack(str(error)) from error

    def line(self, point: int) -> int:
        return self._cell.points[point].line

    def grown(self, point: int) -> RangeChange | None:
        """How far the range of a loop that comes back goes now, if further than when it was committed."""
        return self._cell.points[point].grown

    # inside

    def _govern(self, loop: Loop, iterable: Any) -> None:
        if any(self._cell.points[k].is_loop for k, _ in self._cell.points[loop.point].chain):
            return
        for factory in self._policies:
            policy: LoopPolicy | None = factory(iterable)
            if policy is not None:
                policy.begin(self._units)
                loop.policy = policy
                return

    def _loop_point(self, loop: Loop, frame: FrameType) -> None:
        point = self._cell.points[loop.point]
        outer = [k for k, arm in point.chain if self._cell.points[k].is_loop and arm == "body"]
        if outer and not self._engine.overdue():
            around: Loop = frame.f_globals[loop_name(outer[-1])]
            if around.policy is None and 0 < around.pace.iteration_s < self._engine.schedule.every_s / 4:
                return  # the loop around comes by soon enough, and has less to keep
        self._snapshot("step", frame, point)

    def _snapshot(
        self,
        kind: str,
        frame: FrameType,
        point: Point,
        inside: str = "",
        library: Callable[[], object] | None = None,
        unit: UnitRecord | None = None,
    ) -> None:
        names = frame.f_globals
        position = describe(names, self._cell, point, inside)

        def capture() -> Any:
            entry = entry_of(names, self._cell, point)
            kept = library() if library is not None else None
            return self._scope.capture(point.live, frames=[entry], library=kept)

        self._engine.take("unit" if kind == "unit" else "step", position, capture, unit)


def _nothing() -> None:
    return None
