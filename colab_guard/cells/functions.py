"""The notebook's functions for the time of one cell: found, put into their running versions, and put back.

Found are those that names of the cell lead to: through classes, instances, closures, wrappers, partials and containers.
Their source is what the shell keeps of every cell (or the lines of the file, for a function of a module that is
`__main__`). Code objects are exchanged in place, so that whoever holds a function holds the running version.
"""

from __future__ import annotations

import ast
import functools
import gc
import linecache
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from colab_guard.cells.calls import Callees, callees
from colab_guard.cells.points import FrameInfo
from colab_guard.cells.programs import Function, Program
from colab_guard.cells.short import OFF, Bare, Off

MOST_OBJECTS = 20_000
MOST_ITEMS = 200
ATOMS = (str, bytes, int, float, complex, bool, type(None), types.ModuleType, types.BuiltinFunctionType)


def notebook_functions(names: Iterable[str], namespace: Mapping[str, Any]) -> list[FunctionType]:
    """Functions of the notebook to which `names` lead, and the names that those mention."""
    found: dict[int, FunctionType] = {}
    seen: set[int] = set()
    todo = [namespace[name] for name in names if name in namespace]
    looked_up = set(names)
    while todo and len(seen) < MOST_OBJECTS:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, ATOMS):
            continue
        seen.add(id(thing))
        if isinstance(thing, FunctionType) and thing.__globals__ is namespace:
            found[id(thing)] = thing
            more = set(_names_in(thing.__code__)) - looked_up
            looked_up |= more
            todo += [namespace[name] for name in more if name in namespace]
        todo += _below(thing)
    return list(found.values())


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _below(thing: Any) -> Iterator[Any]:
    """What may lead to a function: parts of functions, classes of the notebook, their instances, containers."""
    if isinstance(thing, FunctionType):
        yield from (cell.cell_contents for cell in thing.__closure__ or () if _is_full(cell))
        yield from thing.__dict__.values()
        yield from thing.__defaults__ or ()
    elif isinstance(thing, (staticmethod, classmethod, types.MethodType)):
        yield thing.__func__
        yield getattr(thing, "__self__", None)
    elif isinstance(thing, property):
        yield from (thing.fget, thing.fset, thing.fdel)
    elif isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif isinstance(thing, type):
        if thing.__module__ == "__main__":
            yield from vars(thing).values()
            yield from thing.__bases__
    elif isinstance(thing, dict):
        if len(thing) <= MOST_ITEMS:
            yield from thing.values()
    elif isinstance(thing, (list, tuple, set, frozenset)):
        if len(thing) <= MOST_ITEMS:
            yield from thing
    elif type(thing).__module__ == "__main__":
        yield type(thing)
        yield from getattr(thing, "__dict__", {}).values()
    elif hasattr(type(thing), "__wrapped__") or hasattr(thing, "__wrapped__"):
        yield thing.__wrapped__


def _is_full(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


class Functions:
    """The programs of one cell's run, and the code objects that belong to them."""

    def __init__(self, namespace: Mapping[str, Any], library: Iterable[str]) -> None:
        self.by_code: dict[CodeType, Function] = {}
        self.by_id: dict[str, Function] = {}
        self.codes: dict[CodeType, FrameInfo] = {}
        self.bare: list[Bare | Off] = []
        self._programs: dict[str, Program | None] = {}
        self._of: dict[str, Program] = {}
        self._namespace = namespace
        self._library = tuple(library)

    def known(self, cell: ast.Module, names: Iterable[str]) -> Callees:
        """What calls may lead to a safe point, by the cell's tree and the functions that `names` lead to."""
        self._found = notebook_functions(names, self._namespace)
        sources = {function.__code__.co_filename for function in self._found}
        self._trees = {filename: tree for filename in sources if (tree := _parsed(filename)) is not None}
        return callees([cell, *self._trees.values()], self._library)

    def load(self, cell: Program) -> None:
        """Take the functions of the cell, and those found, under their ids."""
        self._known = cell.known
        self._add(cell)
        for function in self._found:
            self.find(function.__code__)

    def new_slot(self) -> int:
        self.bare.append(OFF)
        return len(self.bare) - 1

    def find(self, code: CodeType) -> Function | None:
        """The function whose code, in whatever version, `code` is; its program is read where it is not yet known."""
        if code not in self.by_code:
            self.read(code.co_filename, code.co_flags)
        return self.by_code.get(code)

    def read(self, filename: str, future: int = 0) -> None:
        """Know the functions of a text, by the name under which it was compiled."""
        if filename in self._programs:
            return
        self._programs[filename] = None
        tree = _parsed(filename)
        if tree is not None:
            self._add(Program(tree, filename, self._known, self.new_slot, future=future))

    def by_name(self, name: str) -> Function | None:
        """The function with the id `name`, in the cell or in whatever text defines what the notebook has by that name."""
        if name not in self.by_id:
            first = name.partition("#")[0].partition(".")[0]
            for function in notebook_functions([first], self._namespace):
                self.find(function.__code__)
        return self.by_id.get(name)

    def variant(self, function: Function) -> CodeType:
        """The resume version, known by its code from now on."""
        code = self._of[function.id].variant(function)
        self.by_code[code] = function
        self.codes[code] = function.info
        return code

    def swap(self) -> Callable[[], None]:
        """Put the found functions into their running versions; give what puts back all that run by them then."""
        for function in self._found:
            known = self.by_code.get(function.__code__)
            if known is not None and known.running is not None and known.original == function.__code__:
                function.__code__ = known.running
        return self._put_back

    def _put_back(self) -> None:
        changed = [f for f in self.by_id.values() if f.running is not None and f.running is not f.original]
        codes = {id(f.running): f.original for f in changed}
        for holder in gc.get_referrers(*(f.running for f in changed)) if changed else ():
            if isinstance(holder, FunctionType) and (original := codes.get(id(holder.__code__))) is not None:
                holder.__code__ = original

    def _add(self, program: Program) -> None:
        self._programs[program.filename] = program
        for function in program.functions.values():
            self.by_id.setdefault(function.id, function)
            self._of.setdefault(function.id, program)
            for code in (function.original, function.running):
                if code is not None:
                    self.by_code.setdefault(code, function)
                    self.codes.setdefault(code, function.info)


def _parsed(filename: str) -> ast.Module | None:
    lines = linecache.getlines(filename)
    try:
        return ast.parse("".join(lines), filename) if lines else None
    except SyntaxError:
        return None
