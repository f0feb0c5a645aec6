"""What an expression of a cell means, told before the cell runs and without evaluating anything.

Names are looked up among the live objects; what the cell itself imports or makes is told by what it imports, or by the
class that it calls. Attributes are read as they lie (`inspect.getattr_static`, a module's own dictionary): no property
runs, nothing is imported. What cannot be told is None.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from colab_guard.cells.long_calls import GIVE_THEMSELVES, GIVES
from colab_guard.cells.syntax import FUNCTIONS, FunctionNode, bound_by, is_generator, own_nodes, parameters
from colab_guard.state import is_notebooks

Kind = Literal["module", "class", "function", "instance", "text"]
UNKNOWN: Any = object()


@dataclass(frozen=True, slots=True)
class Meaning:
    """`names` are dotted: of a module or function one, of a class (or of an instance's class) also those of its bases.

    "text" is a dotted name of which nothing is loaded yet: it may be a module, a class or a function. `thing` is the live
    object (of an instance that the cell is yet to make, or a class: UNKNOWN). `own`: methods that the cell's text gives it.
    """

    kind: Kind
    names: tuple[str, ...]
    thing: Any = UNKNOWN
    own: frozenset[str] = frozenset()

    @property
    def short(self) -> str:
        """The class's or function's own name."""
        return self.names[0].rpartition(".")[2] if self.names else ""


class Meanings:
    """Meanings in one scope: `body` is its statements, `namespace` the live names, `outer` the scope around it.

    Of names that are `given` nothing is known. `function` gives the notebook's function of a name, where there is one
    only: what it returns is told by its text.
    """

    def __init__(
        self,
        body: Iterable[ast.AST],
        namespace: Mapping[str, Any],
        outer: Meanings | None = None,
        *,
        given: Iterable[str] = (),
        function: Callable[[str], FunctionNode | None] | None = None,
    ) -> None:
        self._namespace = namespace
        self._outer = outer
        self._given = frozenset(given)
        self._own: dict[str, Meaning | None] = dict.fromkeys(self._given)
        self._function: Callable[[str], FunctionNode | None] | None = function or (outer._function if outer is not None else None)
        self._asked: set[str] = outer._asked if outer is not None else set()
        for node in body:
            self._learn(node)

    def of(self, node: ast.AST) -> Meaning | None:
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            base = self.of(node.value)
            return None if base is None else _attribute(base, node.attr)
        if isinstance(node, ast.Call):
            return self._made_by(node)
        if isinstance(node, (ast.Await, ast.NamedExpr)):
            return self.of(node.value)
        return None

    def _name(self, name: str) -> Meaning | None:
        if name in self._own:
            return self._own[name]
        if self._outer is not None:
            return self._outer._name(name)
        if name in self._namespace:
            return _live(self._namespace[name])
        return _live(getattr(builtins, name)) if hasattr(builtins, name) else None

    def _made_by(self, node: ast.Call) -> Meaning | None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in GIVE_THEMSELVES:
            owner = self.of(node.func.value)
            if owner is not None and owner.kind == "instance":
                return owner
        called = self.of(node.func)
        if isinstance(node.func, ast.Name) and (called is None or called.kind == "function"):
            made = self._returned_by(node.func.id)
            if made is not None:
                return made
        if called is None:
            return None
        for name in called.names:
            if name in GIVES:
                return _named(GIVES[name], "instance")
        if called.kind == "class":
            return Meaning("instance", called.names, own=called.own | notebooks_methods(called))
        if called.kind == "text" and called.short[:1].isupper():
            return Meaning("instance", called.names)
        return None

    def _returned_by(self, name: str) -> Meaning | None:
        """What the notebook's function `name` returns, if that is one thing wherever it returns."""
        node = self._function(name) if self._function is not None and not self._is_given(name) else None
        if node is None or name in self._asked or node.decorator_list or not isinstance(node, ast.FunctionDef) or is_generator(node):
            return None
        self._asked.add(name)
        inside = Meanings(node.body, self._namespace, self._outermost(), given=parameters(node))
        found = [inside.of(part.value) if part.value else None for part in own_nodes(node.body) if isinstance(part, ast.Return)]
        self._asked.discard(name)
        first = found[0] if found else None
        return first if first is not None and all(one is not None and one.names == first.names for one in found) else None

    def _is_given(self, name: str) -> bool:
        return name in self._given or (name not in self._own and self._outer is not None and self._outer._is_given(name))

    def _outermost(self) -> Meanings:
        return self if self._outer is None else self._outer._outermost()

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self._imported(node)
        elif isinstance(node, ast.ClassDef):
            self._bind(node.name, self._class(node))
            return
        elif isinstance(node, FUNCTIONS):
            self._bind(node.name, None)
            return
        elif isinstance(node, ast.Lambda):
            return
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            if not (isinstance(node.value, ast.Constant) and node.value.value is None):  # let go of: nothing is called on it
                self._bind(node.targets[0].id, self.of(node.value))
            return
        elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            self._bind(node.optional_vars.id, self.of(node.context_expr))
            return
        elif not isinstance(node, ast.Name) or isinstance(node.ctx, ast.Store):
            for name in bound_by(node):
                self._bind(name, None)
        for child in ast.iter_child_nodes(node):
            self._learn(child)

    def _class(self, node: ast.ClassDef) -> Meaning | None:
        """A class of the cell by its bases, where one of them can be told."""
        bases = [base for base in map(self.of, node.bases) if base is not None and base.kind in ("class", "text")]
        if not bases:
            return None
        names = (f"__main__.{node.name}", *(name for base in bases for name in base.names))
        own = {name for part in own_nodes(node.body) for name in bound_by(part)}
        return Meaning("class", names, own=frozenset(own).union(*(base.own | notebooks_methods(base) for base in bases)))

    def _bind(self, name: str, meaning: Meaning | None) -> None:
        """What is bound twice, to different things, cannot be told."""
        same = name not in self._own or (meaning is not None and self._own[name] is not None and meaning.names == self._own[name].names)  # type: ignore[union-attr]
        self._own[name] = meaning if same else None

    def _imported(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                full = alias.name if alias.asname else alias.name.partition(".")[0]
                self._bind(alias.asname or full, _named(full, "text"))
            elif not node.level and node.module and alias.name != "*":
                self._bind(alias.asname or alias.name, _named(f"{node.module}.{alias.name}", "text"))


def _named(full: str, kind: Kind) -> Meaning:
    """The meaning of a dotted name: the live object where its module is loaded, else its text."""
    if full in sys.modules:
        return Meaning("module", (full,), sys.modules[full])
    module, _, last = full.rpartition(".")
    found = vars(sys.modules[module]).get(last, UNKNOWN) if module in sys.modules else UNKNOWN
    live = _live(found) if found is not UNKNOWN else None
    if live is None:
        return Meaning(kind, (full,))
    names = (full, *(name for name in live.names if name != full))
    return Meaning("instance", names) if kind == "instance" else Meaning(live.kind, names, live.thing)


def _live(thing: Any) -> Meaning:
    if isinstance(thing, types.ModuleType):
        return Meaning("module", (thing.__name__,), thing)
    if isinstance(thing, type):
        return Meaning("class", _bases(thing), thing)
    if isinstance(thing, types.MethodType):
        return Meaning("function", (f"{thing.__func__.__module__}.{thing.__func__.__qualname__}",), thing)
    if isinstance(thing, (types.FunctionType, types.BuiltinFunctionType)):
        return Meaning("function", (f"{thing.__module__}.{thing.__qualname__}",), thing)
    return Meaning("instance", _bases(type(thing)), thing)


def _bases(cls: type) -> tuple[str, ...]:
    return tuple(f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__ if base is not object)


def _attribute(base: Meaning, name: str) -> Meaning | None:
    if base.kind in ("module", "text"):
        full = f"{base.names[0]}.{name}"
        if isinstance(base.thing, types.ModuleType):
            found = vars(base.thing).get(name, UNKNOWN)
            if found is not UNKNOWN:
                live = _live(found)
                return Meaning(live.kind, (full, *(n for n in live.names if n != full)), live.thing)
        return _named(full, "text")
    if base.thing is UNKNOWN:
        return None
    found = inspect.getattr_static(base.thing, name, UNKNOWN)
    if found is UNKNOWN or (hasattr(type(found), "__get__") and not isinstance(found, types.FunctionType)):
        return None
    return _live(found)


def notebooks_methods(cls: Meaning) -> frozenset[str]:
    """Names of methods that a live class has from the notebook, its own and those of its bases."""
    if not isinstance(cls.thing, type):
        return frozenset()
    return frozenset(name for base in cls.thing.__mro__ for name, value in vars(base).items() if is_notebooks(value))


def defines(owner: Meaning, method: str) -> Any:
    """The function that `owner`'s class has for `method`, or UNKNOWN."""
    if owner.thing is UNKNOWN:
        return UNKNOWN
    return inspect.getattr_static(owner.thing if owner.kind == "class" else type(owner.thing), method, UNKNOWN)
