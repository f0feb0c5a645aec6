"""The notebook's functions for the time of one cell: found, put into their running versions, and put back.

Found are those that names of the cell lead to: through classes, instances, closures, wrappers, partials and containers.
Their source is what the shell keeps of every cell (or the lines of the file, for a function of a module that is
`__main__`). Code objects are exchanged in place, so that whoever holds a function holds the running version.
"""

from __future__ import annotations

import ast
import dis
import functools
import gc
import linecache
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from colab_guard.cells.calls import NOTHING, Callees, callees
from colab_guard.cells.points import FrameInfo
from colab_guard.cells.programs import Function, Program, alone
from colab_guard.cells.short import OFF, Bare, Off
from colab_guard.cells.syntax import FunctionNode

MOST_OBJECTS = 20_000
MOST_ITEMS = 200
LOOK_UPS = frozenset(f"{what}_{where}" for what in ("LOAD", "STORE", "DELETE") for where in ("GLOBAL", "NAME"))
LOOK_UPS |= {"LOAD_FROM_DICT_OR_GLOBALS"}
ATOMS = (str, bytes, int, float, complex, bool, type(None), types.ModuleType, types.BuiltinFunctionType)


def notebook_functions(names: Iterable[str], namespace: Mapping[str, Any]) -> list[FunctionType]:
    """Functions of the notebook to which `names` lead, and the names that those mention."""
    return _reached(names, namespace)[0]


def names_through_functions(names: Iterable[str], namespace: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Names that the notebook's functions and waiting generators mention to which `names` lead; those they look up."""
    _, mentioned, codes = _reached(names, namespace)
    return mentioned, {name for code in codes for name in _looked_up_in(code)}


def _reached(names: Iterable[str], namespace: Mapping[str, Any]) -> tuple[list[FunctionType], set[str], list[CodeType]]:
    found: dict[int, FunctionType] = {}
    mentioned: set[str] = set()
    codes: list[CodeType] = []
    seen: set[int] = set()
    looked_up = set(names)
    todo = [namespace[name] for name in looked_up if name in namespace]
    while todo and len(seen) < MOST_OBJECTS:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, ATOMS):
            continue
        seen.add(id(thing))
        code = None
        if isinstance(thing, FunctionType) and thing.__globals__ is namespace:
            found[id(thing)] = thing
            code = thing.__code__
        elif isinstance(thing, types.GeneratorType) and thing.gi_frame is not None and thing.gi_frame.f_globals is namespace:
            code = thing.gi_code
        if code is not None:
            codes.append(code)
            more = set(_names_in(code))
            mentioned |= more
            todo += [namespace[name] for name in more - looked_up if name in namespace]
            looked_up |= more
        todo += _below(thing)
    return list(found.values()), mentioned, codes


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _looked_up_in(code: CodeType) -> Iterator[str]:
    """Those of them that are looked up as names, not as attributes: `outputs.loss` says nothing about `loss`."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in LOOK_UPS:
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _looked_up_in(constant)


def _below(thing: Any) -> Iterator[Any]:
    """What may lead to a function: parts of functions, classes of the notebook, their instances, containers."""
    if isinstance(thing, FunctionType):
        yield from (cell.cell_contents for cell in thing.__closure__ or () if _is_full(cell))
        yield from thing.__dict__.values()
        yield from thing.__defaults__ or ()
    elif isinstance(thing, (staticmethod, classmethod, types.MethodType)):
        yield thing.__func__
        yield getattr(thing, "__self__", None)
    elif isinstance(thing, types.GeneratorType):
        if thing.gi_frame is not None:
            yield from thing.gi_frame.f_locals.values()
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
        self.met: dict[str, dict[str, Any]] = {}
        """Functions whose code the capture under way has met, by their ids: what a later kernel must have of them."""
        self.aliases: dict[str, str] = {}
        """Ids of committed functions whose edited code here is to be used in their place."""
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

    def id_of(self, code: CodeType) -> str | None:
        """The id by which known code travels, which is noted; None for code that travels itself."""
        found = self.by_code.get(code)
        if found is None:
            return None
        self.note(found, "code")
        return found.id

    def find_in_library(self, code: CodeType, file: str) -> Function | None:
        """The function of a library's module whose code `code` is; `file` is the module's, which frozen code does not name."""
        if code not in self.by_code:
            filename = file if code.co_filename.startswith("<frozen") else code.co_filename
            self.read_library(filename, code.co_qualname, code.co_flags)
            if code not in self.by_code:
                self._recognise(code, f"{filename}:{code.co_qualname}")
        return self.by_code.get(code)

    def read_library(self, filename: str, name: str, future: int = 0) -> None:
        """Know one function (by its id or qualified name) of a library's module: the others can be thousands."""
        qualname = name.partition("#")[0]
        key = f"{filename}:{qualname}"
        if key in self._programs:
            return
        self._programs[key] = None
        tree = _parsed(filename)
        if tree is not None:
            self._add(Program(alone(tree, qualname), filename, NOTHING, self.new_slot, future=future), key)

    def _recognise(self, code: CodeType, text: str) -> None:
        """Know `code` by its place in its file: what is compiled together decides about some instructions."""
        program = self._programs.get(text)
        for function in program.functions.values() if program is not None else ():
            if function.place == (code.co_qualname, code.co_firstlineno):
                self.by_code[code] = function
                self.codes.setdefault(code, function.info)

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
        name = self.aliases.get(name, name)
        if name not in self.by_id:
            self._look_around(name)
        return self.by_id.get(name)

    def namesake(self, name: str) -> Function | None:
        """The function that is now called what the one with the id `name` was: of the cell, else the notebook's."""
        self._look_around(name)
        called = name.partition("#")[0]
        found = [f for f in self.by_id.values() if f.place[0] == called]
        return next((f for f in found if self._of[f.id].cell is not None), found[-1] if found else None)

    def trees(self, cell: Program) -> Iterator[tuple[Function, FunctionNode]]:
        """The functions of the cell, and those of the notebook that it leads to, with their trees."""
        found = {known.id for f in self._found if (known := self.by_code.get(f.__code__)) is not None}
        programs = {id(self._of[name]): self._of[name] for name in found}
        for program in (cell, *(p for p in programs.values() if p is not cell)):
            for function, node in program.nodes():
                if program is cell or function.id in found:
                    yield function, node

    def note(self, function: Function, kind: str, module: str | None = None) -> None:
        """The state being captured holds `function`'s code ("code"), or a waiting generator of it ("generator")."""
        known = self.met.get(function.id)
        if known is None or kind == "generator":
            free = sorted(function.original.co_freevars) if function.original is not None else []
            self.met[function.id] = {**function.info.shape(), "kind": kind, "free": free, "module": module}

    def _look_around(self, name: str) -> None:
        first = name.partition("#")[0].partition(".")[0]
        for function in notebook_functions([first], self._namespace):
            self.find(function.__code__)

    def variant(self, function: Function) -> CodeType:
        """The resume version, known by its code from now on."""
        code = self._of[function.id].variant(function)
        self.by_code[code] = function
        self.codes[code] = function.info
        return code

    def swap(self) -> Callable[[], None]:
        """Put the found functions into their running versions; give what puts back all that run by them then."""
        swapped: list[tuple[FunctionType, CodeType]] = []
        written: dict[int, CodeType] = {}
        for function in self._found:
            known = self.find(function.__code__)
            if known is not None and known.running is not None and known.is_made_from(function.__code__):
                swapped.append((function, function.__code__))
                written[id(known.running)] = function.__code__
                function.__code__ = known.running
        return functools.partial(self._put_back, swapped, written)

    def _put_back(self, swapped: list[tuple[FunctionType, CodeType]], written: dict[int, CodeType]) -> None:
        """`written`: what the user's functions had, by their running versions; functions that came back get the same."""
        for function, code in swapped:
            function.__code__ = code
        changed = [f for f in self.by_id.values() if f.running is not None and f.running is not f.original]
        codes = {id(f.running): written.get(id(f.running), f.original) for f in changed}
        for holder in gc.get_referrers(*(f.running for f in changed)) if changed else ():
            if isinstance(holder, FunctionType) and (original := codes.get(id(holder.__code__))) is not None:
                holder.__code__ = original

    def _add(self, program: Program, key: str = "") -> None:
        self._programs[key or program.filename] = program
        for function in program.functions.values():
            self.by_id.setdefault(function.id, function)
            self._of.setdefault(function.id, program)
            for code in (function.original, function.whole, function.running):
                if code is not None:
                    self.by_code.setdefault(code, function)
                    self.codes.setdefault(code, function.info)


def _parsed(filename: str) -> ast.Module | None:
    lines = linecache.getlines(filename)
    try:
        return ast.parse("".join(lines), filename) if lines else None
    except SyntaxError:
        return None
