"""What rewritten code calls while it runs: `_cg_` in the user's namespace for the time of one guarded cell.

Loops are made here and pass their safe points here. When a snapshot is due, the frames from the cell to the safe point
are looked at: all must be the notebook's own and such that they can be entered again. Where they are not (a loop in a
function that a library calls), the safe point is passed over: the loops further out have their own.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from colab_guard.cells.beside import name_threads, refuse_tasks
from colab_guard.cells.frames import RE_ENTRY, TRAINING_ROOM, FrameEntry, Standing, describe, entry_of, forget_locals, stack
from colab_guard.cells.functions import Functions
from colab_guard.cells.iterators import LoopState, open_iterator
from colab_guard.cells.loops import SIZED, Loop, ReEnter
from colab_guard.cells.pace import LATE_S
from colab_guard.cells.places import ending_at
from colab_guard.cells.points import CELL, FrameInfo, Point
from colab_guard.cells.programs import Function
from colab_guard.cells.protocols import LibraryLoop, LoopPolicy, PolicyFactory
from colab_guard.cells.resuming import Resumer, made_again
from colab_guard.cells.rewrite import GOVERNED_INSIDE
from colab_guard.cells.scope import Scope
from colab_guard.cells.short import ShortLoops
from colab_guard.errors import CannotResume, SnapshotRefused
from colab_guard.snapshots import Engine, Position, UnitRecord

SHARE_TO_WAIT = 0.25
"""Of the interval: so long a due snapshot may wait for a loop further out."""
LONG_S = 0.05
"""An iteration that takes longer makes all loops passed by again, since what is inside it may have grown."""
SELDOM = 1 << 30
BY_TEXT = frozenset({"globals", "locals", "vars", "eval", "exec", "get_ipython"})
"""Functions that look up names by a text."""


class RollBack(BaseException):
    """Unwinds to the executor, which restores the newest snapshot and runs again."""


class Idle:
    """`_cg_` when no guarded cell runs: code that outlives its cell (in a thread, in another process) goes on by it."""

    TICKS = object()

    def loop(self, point: int, iterable: Any, frame: str = CELL, slot: int | None = None) -> Any:
        return _PlainLoop(iterable)

    def point(self, number: int) -> None:
        """No snapshot is taken."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Idle, ()


class _PlainLoop:
    policy = None

    def __init__(self, iterable: Any) -> None:
        self._iterable = iterable

    def run(self) -> Any:
        return iter(self._iterable)

    def ticks(self) -> Any:
        return itertools.repeat(())

    def tests(self) -> Any:
        return itertools.repeat(True)

    def end(self) -> None:
        """Nothing was kept."""


class Runtime(Idle):
    """One guarded cell's runtime; see the module's docstring for how rewritten code uses it."""

    def __init__(
        self,
        functions: Functions,
        cell: FrameInfo,
        scope: Scope,
        engine: Engine,
        now: Callable[[], float],
        *,
        policies: Sequence[PolicyFactory] = (),
        units: Sequence[UnitRecord] = (),
        say: Callable[[str], None] = lambda why: None,
        goes_back: Callable[[Exception], bool] = lambda error: False,
    ) -> None:
        self.goes_back = goes_back
        """Whether an error is undone by going back to the newest snapshot."""
        self.first_wanted = False
        """Whether the first safe point is to be saved, before any training step of the cell's own."""
        self.first_in_library = False
        """Likewise of a library loop's."""
        self.now = now
        self.say = say
        """Told why what follows may not be what it would have been."""
        self.lost = False
        self.over = False
        self.short_loops = ShortLoops(functions.bare, self._start_late)
        self._watched: dict[int, weakref.ref[Loop]] = {}
        self._functions = functions
        self._codes: Mapping[CodeType, FrameInfo] = functions.codes
        self._cell = cell
        self._scope = scope
        self._engine = engine
        self._policies = policies
        self._units = list(units)
        self.standing: dict[int, FrameEntry] = {}
        """Entries of the snapshot under way, by the ids of their frames."""
        self._library_state: object | None = None
        self._set_names: Callable[[], None] = _nothing
        self._set_random: Callable[[], None] = _nothing
        self._way: list[tuple[Resumer, FrameEntry]] = []
        self.is_pending: Callable[[Any], bool] = lambda thing: False
        self._pid = os.getpid()
        self.thread = threading.get_ident()
        self.own_loop = False
        """Whether the cell awaits, on an event loop of its own."""

    # resuming

    def resume(
        self,
        entries: Sequence[FrameEntry],
        library: object | None,
        set_names: Callable[[], None],
        set_random: Callable[[], None],
    ) -> Resumer:
        """The cell's resumer, which leads to where `entries` stand."""
        self._library_state = library
        self._set_names, self._set_random = set_names, set_random
        return self._resumer(entries, self._cell)

    def _resumer(self, entries: Sequence[FrameEntry], info: FrameInfo) -> Resumer:
        resumer = Resumer(self, entries, info)
        self._way.append((resumer, entries[0]))
        return resumer

    def enter(self, entries: Sequence[FrameEntry]) -> Any:
        """Make the frame of `entries[0]` again, and let it go on."""
        __tracebackhide__ = True
        function = self.function(entries[0].frame)
        resumer = self._resumer(entries, function.info)
        return made_again(self._functions.variant(function), self._scope.namespace, entries[0].cells, resumer)

    def function(self, name: str) -> Function:
        found = self._functions.by_name(name)
        if found is None:
            self.lost = True
            told = name.partition("#")[0]
            raise CannotResume(
                f"{told}() was running and is not the same here: its code was changed, or the cell that defines it has not "
                "run; undo the change or run that cell, or begin again with --fresh"
            )
        return found

    def arrived(self) -> None:
        self._set_names()
        self._set_random()
        self._forget_way()

    def _forget_way(self) -> None:
        """Hold nothing of what was restored: it is the user's, who may drop it."""
        self._set_names = self._set_random = _nothing
        for resumer, entry in self._way:
            for held in (entry.locals, entry.loops, entry.contexts, resumer.shared):
                held.clear()
        self._way.clear()

    def names_again(self) -> None:
        self._set_names()

    def library_was_entered(self, info: FrameInfo, point: int) -> None:
        if self._library_state is not None:
            self.lost = True
            raise CannotResume(f"line {info.points[point].line} did not enter the library loop that was under way")

    # LoopNeeds, for library loops

    def resuming(self, loop: LibraryLoop) -> object | None:
        kept, self._library_state = self._library_state, None
        return kept

    def resumed(self, loop: LibraryLoop) -> None:
        self._set_random()
        self._forget_way()

    def poll(self, loop: LibraryLoop, capture: Callable[[], object], where: str = "") -> None:
        if self.first_in_library:
            self.ask_for_first()
        if not self._engine.due() or not self._is_here():
            return
        try:
            frame, called = self._below(sys._getframe(1))
            if not str(called.f_globals.get("__name__", "")).startswith(TRAINING_ROOM):
                raise SnapshotRefused(f"inside {called.f_code.co_qualname}(), between the cell and {loop.name}")
            info = self._codes[frame.f_code]
            number = info.calls.get(ending_at(frame))
            if number is None:
                raise SnapshotRefused(f"{loop.name} was called in a place that cannot be entered again")
            standings = stack(frame, info.points[number], self._codes)
        except SnapshotRefused as refusal:
            self._engine.refuse(Position(loop.name, 0), str(refusal))
            return
        with self._counted():
            self._snapshot("step", standings, where or loop.name, capture)

    # loops and safe points

    def loop(self, point: int, iterable: Any, frame: str = CELL, slot: int | None = None) -> Loop:
        __tracebackhide__ = True
        info = self._cell if frame == CELL else self._functions.by_id[frame].info
        return self.start(info, point, iterable, iterable is self.TICKS, slot)

    def start(self, info: FrameInfo, point: int, iterable: Any, ticks: bool, slot: int | None = None) -> Loop:
        """A loop that begins now."""
        __tracebackhide__ = True
        where = info.points[point]
        if ticks:
            return Loop(self, where, LoopState("while", 0), slot=slot)
        loop = Loop.enter(self, where, iterable, slot)
        self._govern(loop, iterable, info)
        return loop

    def _start_late(self, where: Point, iterator: Any, done: int) -> Loop:
        """A loop that was bare for its first `done` iterations; a `while` has no iterator."""
        if iterator is None:
            return Loop(self, where, LoopState("while", done))
        mode, iterator = open_iterator(iterator)
        return Loop(self, where, LoopState(mode, done, iterator))

    def again(self, info: FrameInfo, point: int, kept: LoopState, how: ReEnter, resumer: Resumer) -> Loop:
        """A loop that comes back."""
        loop = Loop(self, info.points[point], kept, how, resumer=resumer)
        self._govern(loop, kept.iterator, info)
        return loop

    def safe(self, loop: Loop, done: int) -> int:
        """A loop's own safe point; gives the number of iterations until the next look."""
        now = self.now()
        pace = loop.pace
        if self.over:
            return SELDOM
        if now - pace.last > LONG_S:
            self.short_loops.instrument_all()
        if self._engine.due() and self._is_here():
            frame = sys._getframe(1).f_back
            if frame is not None:
                self._loop_point(loop, frame)
            pace.last, pace.seen = self.now(), done
            self._engine.schedule.safe_s += pace.last - now
            return pace.looks
        looks = pace.next(now, done)
        if looks > 1 and not loop.watched:
            loop.watched = True
            self._watched[id(loop)] = weakref.ref(loop)
        self._engine.schedule.safe_s += self.now() - now
        return looks

    def watch(self) -> None:
        """From another thread, now and then: loops whose iterations have become slow look at the clock at once."""
        late = self.now() - LATE_S
        for key, reference in list(self._watched.items()):
            loop = reference()
            if loop is None or loop.over:
                self._watched.pop(key, None)
            elif loop.pace.last < late:
                loop.hurry()

    def ask_for_first(self) -> bool:
        """Ask for a snapshot at the first safe point of a cell that may train; whether it was asked for now."""
        if "torch" not in sys.modules:
            return False
        self.first_wanted = self.first_in_library = False
        self._engine.request_commit()
        return True

    def point(self, number: int) -> None:
        """The safe point after a statement of the cell."""
        if self.first_wanted:
            self.ask_for_first()
        if self._engine.due():
            standing = Standing(sys._getframe(1), self._cell, self._cell.points[number])
            with self._counted():
                self._snapshot("step", [standing])

    def unread(self, where: Point) -> frozenset[str]:
        """Names of the notebook that each iteration of the loop at `where` binds before anything in the cell reads them."""
        if self._cell.points.get(where.id) is not where:
            return frozenset()  # a function's variables are its own
        if self._scope.through_functions & BY_TEXT:
            return frozenset()  # a function may look up any name
        return where.anew - where.live - self._scope.through_functions

    def unit_end(self, loop: Loop, unit: UnitRecord | None) -> None:
        """A unit of a governed loop is over."""
        if unit is None:
            return
        self._units.append(unit)
        try:
            frame, _ = self._below(sys._getframe(1))
            standings = stack(frame, loop.where, self._codes)
        except SnapshotRefused as refusal:
            self._engine.refuse(Position(f"the end of {unit.key}", 0), str(refusal), unit)
            return
        with self._counted():
            self._snapshot("unit", standings, unit=unit)

    def roll_back(self, error: BaseException) -> None:
        raise RollBack(str(error)) from error

    # inside

    def _is_here(self) -> bool:
        """Whether this is the cell's own thread, and not a forked child."""
        return threading.get_ident() == self.thread and os.getpid() == self._pid

    def _below(self, frame: FrameType | None) -> tuple[FrameType, FrameType]:
        """The nearest instrumented frame at or below `frame`, and the frame that it called."""
        called = frame
        while frame is not None:
            if frame.f_code in self._codes:
                assert called is not None
                return frame, called
            if frame.f_globals is self._scope.namespace:
                raise SnapshotRefused(f"inside {frame.f_code.co_qualname}(), which cannot be entered again")
            if frame.f_globals.get("__name__") not in RE_ENTRY:
                called = frame
            frame = frame.f_back
        raise SnapshotRefused("not called from the guarded cell")

    def _govern(self, loop: Loop, iterable: Any, info: FrameInfo) -> None:
        around = info.loops_around(loop.where.chain)
        if around and type(iterable) in SIZED:
            return  # it may begin often
        for factory in self._policies:
            policy: LoopPolicy | None = factory(iterable)
            if policy is not None and around > GOVERNED_INSIDE:
                policy.bypassed()
            elif policy is not None:
                policy.begin(self._units)
                loop.policy = policy
                return

    def _loop_point(self, loop: Loop, frame: FrameType) -> None:
        info = self._codes.get(frame.f_code)
        if info is None or info.passive or not self._engine.may((info.id, loop.where.id)):
            return
        try:
            standings = stack(frame, loop.where, self._codes)
        except SnapshotRefused as refusal:
            self.short_loops.instrument_all()  # one of them may stand in the way
            if self._engine.overdue():
                self._engine.schedule.refused_at((info.id, loop.where.id))
                self._engine.refuse(Position(f"line {loop.where.line}", 0), str(refusal))
            return
        around = [outer for standing in standings for _, outer in standing.loops()][:-1]
        if not self._engine.overdue() and self._comes_soon(around):
            return  # a loop around has less to keep
        self._snapshot("step", standings)

    def _comes_soon(self, around: Sequence[Loop]) -> bool:
        now, within_s = self.now(), self._engine.schedule.every_s * SHARE_TO_WAIT
        return any(outer.policy is None and outer.pace.soon(now, within_s) for outer in around)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Time outside `safe`, which counts its own, that goes into safe points."""
        began = self.now()
        try:
            yield
        finally:
            self._engine.schedule.safe_s += self.now() - began

    def _snapshot(
        self,
        kind: str,
        standings: Sequence[Standing],
        inside: str = "",
        library: Callable[[], object] | None = None,
        unit: UnitRecord | None = None,
    ) -> None:
        def capture() -> Any:
            if self.own_loop:
                refuse_tasks()
            entries = [entry_of(standing) for standing in standings]
            self.standing = {id(s.frame): entry for s, entry in zip(standings, entries, strict=True)}
            kept = library() if library is not None else None
            captured = self._scope.capture(standings[0].point.live, frames=entries, library=kept)
            name_threads(captured, self._scope.namespace)
            return captured

        position = describe(standings, inside)
        noted = noting(self._functions, position, capture)
        try:
            taken = self._engine.take("unit" if kind == "unit" else "step", position, noted, unit)
        finally:
            self.standing = {}
            for standing in standings:
                forget_locals(standing.frame)
        place = (standings[-1].info.id, standings[-1].point.id)
        (self._engine.schedule.taken_at if taken else self._engine.schedule.refused_at)(place)


def noting(functions: Functions, position: Position, capture: Callable[[], Any]) -> Callable[[], Any]:
    """`capture`, which then also notes with `position` the functions whose code the captured state holds."""

    def noted() -> Any:
        functions.met.clear()
        captured = capture()
        position.functions[:] = functions.met.values()
        return captured

    return noted


def _nothing() -> None:
    return None
