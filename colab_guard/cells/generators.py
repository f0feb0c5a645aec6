"""Waiting generators, the notebook's and those of libraries written in Python, taken apart and made again.

Most generators run as their authors wrote them. While one waits at a `yield`, its variables can be read, its place is that of
the instruction, and the iterators of the loops around it lie on its stack, which the garbage collector shows
(`gc.get_referents`, in order, behind its variables). Only what is recognised in full is taken: each variable must be
where it is expected, and each loop and each `with` around the `yield` must account for one value on the stack. One
that works between its items (a whole epoch, say) is instrumented like a function, and may be left in the middle.

It is made again by its function's resume version, which is led to the same `yield` and waits there.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import sys
from collections.abc import Sequence
from types import CellType, GeneratorType
from typing import TYPE_CHECKING, Any

from colab_guard import state
from colab_guard.cells import genexprs
from colab_guard.cells.delegates import behind
from colab_guard.cells.frames import FrameEntry, Standing, cells_of, entry_of, forget_locals, own_variables
from colab_guard.cells.functions import Functions
from colab_guard.cells.iterators import LoopState
from colab_guard.cells.places import ending_at
from colab_guard.cells.points import FrameInfo, Point
from colab_guard.cells.programs import Function
from colab_guard.cells.resuming import Resumer, made_again
from colab_guard.cells.rewrite import CELLS, RESUMER

if TYPE_CHECKING:
    from colab_guard.cells.runtime import Runtime

NOT_BEGUN = 0
HEADER = 7
"""Referents of a generator that are not on its stack, at most (3.11: code, two names, frame, its locals, function, code)."""


class Generators:
    """Implements `state`'s protocol for one guarded cell."""

    def __init__(self, functions: Functions, namespace: dict[str, Any]) -> None:
        self.runtime: Runtime | None = None
        self._functions = functions
        self._namespace = namespace
        self._pending: dict[int, tuple[Any, Resumer, FrameEntry]] = {}

    # capture

    def parts(self, generator: Any) -> tuple[Any, Any]:
        status = inspect.getgeneratorstate(generator)
        if status == inspect.GEN_CLOSED:
            return None, None
        frame = generator.gi_frame
        try:
            return self._open(generator, frame, status)
        finally:
            forget_locals(frame)

    def _open(self, generator: Any, frame: Any, status: str) -> tuple[Any, Any]:
        module = self._module_of(generator, frame)
        if genexprs.is_expression(generator):
            held, cells = lambda: _laid_open(generator, frame)[1], lambda: _raw_cells(generator, frame)
            return (genexprs.NAME, *genexprs.parts(generator, module, held, cells)), None
        code = generator.gi_code
        if module is None:
            function = self._functions.find(code)
        else:
            function = self._functions.find_in_library(code, str(sys.modules[module].__file__))
        if function is None:
            raise state.CannotKeep(f"the source of the generator {generator.__name__}() is not at hand")
        if status == inspect.GEN_RUNNING:
            entry = self._running(generator, frame)
        elif status == inspect.GEN_CREATED:
            entry = FrameEntry(function.id, NOT_BEGUN, ())
            before = frame.f_locals.get(RESUMER)  # made again, and not begun since
            entry.locals = own_variables(frame.f_locals, function.info, None) if before is None else dict(before.values)
            entry.cells = _cells_before_start(generator, frame, function.info)
        else:
            entry = self._waiting(generator, frame, function)
        self._functions.note(function, "generator", module)
        return (function.id, entry.cells, module), entry

    def _module_of(self, generator: Any, frame: Any) -> str | None:
        """The module whose function the generator is of; None for the notebook itself."""
        if frame.f_globals is self._namespace:
            return None
        told = str(frame.f_globals.get("__name__"))
        for name in (told, f"_{told.replace('.', '_')}"):  # `_collections_abc` calls itself collections.abc
            module = sys.modules.get(name)
            if module is not None and module.__dict__ is frame.f_globals and getattr(module, "__file__", None):
                return name
        raise state.CannotKeep(f"the generator {generator.__name__}() is of {told}, which is no module with a file")

    def _running(self, generator: Any, frame: Any) -> FrameEntry:
        """The entry that the snapshot under way has of it, where the position is inside."""
        entry = self.runtime.standing.get(id(frame)) if self.runtime is not None else None
        if entry is None:
            raise state.CannotKeep(f"the generator {generator.__name__}() is running")
        return entry

    def _waiting(self, generator: Any, frame: Any, function: Function) -> FrameEntry:
        number = function.info.yields.get(ending_at(frame))
        if number is None:
            raise state.CannotKeep(f"the generator {generator.__name__}() waits where it cannot be entered again (line {frame.f_lineno})")
        point = function.info.points[number]
        if RESUMER in frame.f_locals or (function.works and frame.f_code is function.running):
            entry = entry_of(Standing(frame, function.info, point))
        else:
            entry = _read_stack(generator, frame, function.info, point)
        entry.delegate = behind(generator.gi_yieldfrom)
        return entry

    # restore

    def make(self, what: Any) -> Any:
        if what is None:
            return _exhausted()
        namespace = self._namespace
        if what[0] == genexprs.NAME:
            return genexprs.make(namespace, *what[1:])
        name, cells, module = what
        assert self.runtime is not None
        if module is not None:
            namespace = importlib.import_module(module).__dict__
            self._functions.read_library(str(namespace["__file__"]), name)
        function = self.runtime.function(name)
        resumer = Resumer(self.runtime, [], function.info, started=False)
        generator = made_again(self._functions.variant(function), namespace, cells, resumer)
        self._pending[id(generator)] = (generator, resumer, FrameEntry(name, NOT_BEGUN, ()))
        return generator

    def fill(self, generator: Any, place: Any) -> None:
        _, resumer, _ = self._pending[id(generator)]
        self._pending[id(generator)] = (generator, resumer, place)

    def is_pending(self, thing: Any) -> bool:
        return id(thing) in self._pending

    def start(self, frames: Sequence[FrameEntry] = ()) -> None:
        """Lead every generator that was made to where it waited; one that ran, in `frames`, is led when it is asked."""
        running = {id(entry): number for number, entry in enumerate(frames)}
        waiting = list(self._pending.values())
        for _, resumer, entry in waiting:
            further = frames[running[id(entry)] :] if id(entry) in running else [entry]
            resumer.fill(further, started=entry.point != NOT_BEGUN)
        below = {id(entry.delegate) for _, _, entry in waiting}
        for generator, _, entry in waiting:
            if entry.point != NOT_BEGUN and id(generator) not in below and id(entry) not in running:
                next(generator)
        self._pending.clear()


def _read_stack(generator: Any, frame: Any, info: FrameInfo, point: Point) -> FrameEntry:
    """The entry of a generator that runs as it was written."""
    around = [info.points[k] for k, arm in point.chain if info.points[k].kind in ("for", "with") and arm == "body"]
    variables, held = _laid_open(generator, frame)
    count = len(around) + (generator.gi_yieldfrom is not None)
    if len(held) == count + 1 and held[-1] is None:
        held.pop()  # behind the stack: what stands in for the error, once one was handled
    if point.temps or len(held) != count:
        raise state.CannotKeep(f"the generator {generator.__name__}() waits inside an expression or a handler (line {frame.f_lineno})")
    entry = FrameEntry(info.id, point.id, point.chain)
    entry.locals = own_variables(variables, info, point)
    entry.cells = {name: value for name, value in _raw_cells(generator, frame).items() if name in info.cells}
    values = dict(zip((part.id for part in around), held, strict=False))
    for number, arm in point.chain:
        part = info.points[number]
        if part.kind == "for" and arm == "body":
            entry.loops[number] = LoopState("live", 0, values[number])
        elif part.is_loop:
            entry.loops[number] = LoopState("while", 0)
        elif part.kind == "with":
            entry.contexts[number] = [getattr(values[number], "__self__", None)]
    return entry


def _laid_open(generator: Any, frame: Any) -> tuple[dict[str, Any], list[Any]]:
    """A waiting generator's variables by name, and the values on its stack, outermost first."""
    code = frame.f_code
    variables = dict(frame.f_locals)
    shared = {*code.co_cellvars, *code.co_freevars}
    expected = [variables[name] for name in code.co_varnames if name not in shared and name in variables]
    referents = gc.get_referents(generator)
    # parameters that are shared lie among the plain variables, as cells; the others follow
    count = len(expected) + len(shared)
    # its names, its frame, its function and, last, its code come before the variables
    first = max((number for number, value in enumerate(referents[:HEADER]) if value is code), default=-1) + 1
    for start in range(first, len(referents) - count + 1):
        run = referents[start : start + count]
        plain = [value for value in run if type(value) is not CellType] if shared else run
        if len(plain) == len(expected) and all(a is b for a, b in zip(plain, expected, strict=True)):
            return variables, referents[start + count :]
    raise state.CannotKeep(f"the variables of the generator {generator.__name__}() cannot be told apart")


def _raw_cells(generator: Any, frame: Any) -> dict[str, Any]:
    """The cells of a generator, by the names of its variables."""
    code = frame.f_code
    in_order = [name for name in code.co_varnames if name in code.co_cellvars]
    in_order += [name for name in code.co_cellvars if name not in in_order]
    in_order += list(code.co_freevars)
    cells = [value for value in gc.get_referents(generator) if type(value) is CellType]
    if len(cells) < len(in_order):
        raise state.CannotKeep(f"the shared variables of the generator {generator.__name__}() cannot be read")
    return dict(zip(in_order, cells, strict=False))


def _cells_before_start(generator: Any, frame: Any, info: FrameInfo) -> dict[str, Any]:
    if not info.cells:
        return {}
    found = _raw_cells(generator, frame) or cells_of(frame.f_locals.get(CELLS))
    return {name: cell for name, cell in found.items() if name in info.cells}


def _exhausted() -> GeneratorType[Any, None, None]:
    empty = (None for _ in range(0))
    next(empty, None)
    assert isinstance(empty, GeneratorType)
    return empty
