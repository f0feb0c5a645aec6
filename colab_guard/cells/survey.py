"""What a cell holds, told before it runs: its unit, its loops and where they have safe points, long calls into libraries.

The points are those that the rewrite has made, so what is told is what will be; why a place has none is told by what it
stands in. Functions are those of the notebook that the cell's calls lead to. Nothing is evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from colab_guard import state
from colab_guard.cells.iterators import cannot_keep_place
from colab_guard.cells.long_calls import CELL_MAGIC, COMMAND, long_call, maybe_long
from colab_guard.cells.plainer import told
from colab_guard.cells.points import FrameInfo
from colab_guard.cells.programs import Function
from colab_guard.cells.protocols import LibraryLoop
from colab_guard.cells.resolving import UNKNOWN, Meanings, defines
from colab_guard.cells.source import CompiledCell
from colab_guard.cells.syntax import COMPREHENSIONS, FUNCTIONS, FunctionNode, called_name, declared_elsewhere, parameters

LONGEST_TEXT = 60
RARELY_LONG = frozenset({"in an `except` block", "in a `finally` block", "in a class's body"})
"""Where loops tidy up: told when asked, not before the work begins."""
CALLED_BY_OTHERS = frozenset({"__init__", "__call__", "__iter__", "__next__", "__getitem__", "__enter__", "forward", "training_step"})
"""Methods that are called without their names being written."""


@dataclass(frozen=True, slots=True)
class SeenLoop:
    """One loop. `function`: "" for the cell's own; `why`: why it has no safe points, "" where it has.

    `around`: whether a loop with safe points is around it. `waits`: it is a generator's, which has none and needs none.
    """

    line: int
    text: str
    function: str = ""
    why: str = ""
    around: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class SeenCall:
    """One call that loops inside a library. `steps`: the adapter with a safe point in it, or "" and `why` where it has none."""

    line: int
    text: str
    function: str
    library: str
    steps: str = ""
    why: str = ""
    heavy: bool = False
    maybe: bool = False
    around: bool = False
    hint: str = ""


@dataclass(slots=True)
class Survey:
    """All of it, in the order of the source, the cell's own first. `entered`: functions in which a resume goes on."""

    loops: list[SeenLoop] = field(default_factory=list)
    calls: list[SeenCall] = field(default_factory=list)
    entered: list[str] = field(default_factory=list)
    statements: int = 0

    @property
    def unit(self) -> SeenLoop | None:
        """The cell's outermost loop with safe points; None where the unit is the whole cell."""
        return next((loop for loop in self.loops if not loop.function and not loop.why), None)

    @property
    def inside(self) -> bool:
        """Whether there is any safe point inside a statement of the cell."""
        return any(not loop.why and not loop.waits for loop in self.loops) or any(call.steps for call in self.calls)

    @property
    def matters(self) -> tuple[list[SeenLoop], list[SeenCall]]:
        """What has no safe point and is likely to take long: told before the work begins."""
        loops = [loop for loop in self.loops if loop.why and not loop.around and loop.why not in RARELY_LONG]
        return loops, [call for call in self.calls if self._matters(call)]

    def _matters(self, call: SeenCall) -> bool:
        if call.steps:
            return False
        if call.why or call.heavy:
            return True
        return not call.around and not (self.inside and (call.maybe or call.library == COMMAND))


def survey(cell: CompiledCell, namespace: Mapping[str, Any], adapters: Sequence[LibraryLoop] = ()) -> Survey:
    """Look at `cell` and at the functions of the notebook that it leads to."""
    notebook = _Notebook(cell)
    meanings = Meanings(cell.program.plain.body, namespace, function=notebook.the_one)
    sites: dict[str, list[_Site]] = {}
    # where a function is called decides about its loops, and is known when all has been looked at once
    for _ in range(2):
        known, sites = sites, {}
        found = Survey(statements=len(cell.program.tree.body))
        look = _Look(found, notebook, adapters, meanings, cell.info, "")
        look.body(cell.program.plain.body)
        todo, done = [look], set[str]()
        while todo:
            for name, places in sorted(todo.pop(0).sites.items()):
                sites.setdefault(name, []).extend(places)
                for function, node in notebook.called(name):
                    if function.id not in done:
                        done.add(function.id)
                        all_places = known.get(name) or places
                        todo.append(_in_function(found, notebook, adapters, meanings, namespace, function, node, all_places))
    return found


class _Notebook:
    """Functions that the cell may call, by the last part of their names, with their trees."""

    def __init__(self, cell: CompiledCell) -> None:
        self._by_name: dict[str, list[tuple[Function, FunctionNode]]] = {}
        self.classes: dict[str, list[str]] = {}
        for function, node in cell.functions.trees(cell.program):
            name = function.place[0].rpartition(".")[2]
            self._by_name.setdefault(name, []).append((function, node))
            owner = function.place[0].rpartition(".")[0]
            if owner and not owner.endswith("<locals>") and name in CALLED_BY_OTHERS:
                self.classes.setdefault(owner.rpartition(".")[2], []).append(name)

    def called(self, name: str) -> list[tuple[Function, FunctionNode]]:
        """The functions that a call of `name` may run, those that making an instance of a class of that name leads to."""
        if name in self.classes:
            return [pair for method in self.classes[name] for pair in self._by_name[method] if f"{name}." in pair[0].place[0]]
        return self._by_name.get(name, [])

    def the_one(self, name: str) -> FunctionNode | None:
        """The function that a call of `name` runs, where there is only one that it may be."""
        found = self.called(name)
        return found[0][1] if len(found) == 1 and found[0][0].place[0] == name else None

    def knows(self, name: str) -> bool:
        return name in self._by_name or name in self.classes


def _in_function(
    found: Survey,
    notebook: _Notebook,
    adapters: Sequence[LibraryLoop],
    meanings: Meanings,
    namespace: Mapping[str, Any],
    function: Function,
    node: FunctionNode,
    sites: Sequence[_Site],
) -> _Look:
    barrier = "" if any(not site.why for site in sites) else sites[0].why
    gathered = isinstance(node, ast.AsyncFunctionDef) and not any(site.awaited for site in sites)
    if gathered:
        barrier = "in a coroutine that does not run alone (gathered, or a task)"
    own = Meanings(node.body, namespace, meanings, given=parameters(node) | declared_elsewhere(node))
    name = f"{function.place[0].replace('<locals>.', '')}()"
    around = any(site.around for site in sites)
    look = _Look(found, notebook, adapters, own, function.info, name, barrier, around)
    before = len(found.loops)
    look.body(node.body)
    if not barrier and not look.waits and any(not loop.why for loop in found.loops[before:]):
        found.entered.append(name)
    return look


@dataclass(frozen=True, slots=True)
class _Site:
    """Where a function is called: why it cannot be entered again there (""), whether in a safe loop, whether awaited."""

    why: str
    around: bool
    awaited: bool


class _Look:
    """A walk through one frame's code. `barrier`: why nothing in the whole frame has safe points, "" if it may.

    Whether a loop or call has a point is what the rewrite says; what it stands in (`_barrier`) tells why, where it has none.
    """

    def __init__(
        self,
        found: Survey,
        notebook: _Notebook,
        adapters: Sequence[LibraryLoop],
        meanings: Meanings,
        info: FrameInfo,
        name: str,
        barrier: str = "",
        around: bool = False,
    ) -> None:
        self.sites: dict[str, list[_Site]] = {}
        self.waits = info.passive
        self._found = found
        self._notebook = notebook
        self._adapters = adapters
        self._meanings = meanings
        self._info = info
        self._name = name
        self._frame_barrier = barrier
        self._barrier = ""
        self._around = around
        self._places = {(point.line, point.kind) for point in info.points.values() if point.is_loop}

    # statements

    def body(self, body: Iterable[ast.stmt], barrier: str | None = None, around: bool | None = None) -> None:
        before = self._barrier, self._around
        self._barrier = before[0] if barrier is None else before[0] or barrier
        self._around = before[1] if around is None else around
        for node in body:
            self._statement(node)
        self._barrier, self._around = before

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            self._loop(node)
        elif isinstance(node, FUNCTIONS):
            self._expressions([*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)], "at a definition")
        elif isinstance(node, ast.ClassDef):
            self._expressions([*node.decorator_list, *node.bases], "at a definition")
            self.body([part for part in node.body if not isinstance(part, FUNCTIONS)], "in a class's body")
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            self._expressions([item.context_expr for item in node.items], "where a `with` is entered")
            self.body(node.body, "inside an `async with`" if isinstance(node, ast.AsyncWith) else None)
        elif isinstance(node, (ast.Try, ast.TryStar)):
            self._try(node)
        elif isinstance(node, ast.Match):
            self._expressions([node.subject, *(case.guard for case in node.cases if case.guard)])
            for case in node.cases:
                self.body(case.body)
        elif isinstance(node, ast.If):
            self._expressions([node.test])
            self.body(node.body)
            self.body(node.orelse)
        else:
            self._expressions([node])

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        star = "inside a `try/except*`" if isinstance(node, ast.TryStar) else None
        self.body(node.body, star)
        self.body(node.orelse, star)
        for handler in node.handlers:
            self.body(handler.body, "in an `except` block")
        self.body(node.finalbody, "in a `finally` block")

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While) -> None:
        head: ast.expr = node.test if isinstance(node, ast.While) else node.iter
        why = self._frame_barrier
        if (node.lineno, "while" if isinstance(node, ast.While) else "for") not in self._places:
            why = why or self._barrier or ("`async for` has none" if isinstance(node, ast.AsyncFor) else "there is no way back into it")
        elif isinstance(node, ast.For) and not why and not self.waits:
            why = self._iterator(node.iter)
        text = f"while {told(node.test)}" if isinstance(node, ast.While) else _for(node)
        self._found.loops.append(SeenLoop(node.lineno, _clip(text), self._name, why, self._around, self.waits and not why))
        self._expressions([head], "in the test of a `while`" if isinstance(node, ast.While) else None)
        safe = not why and not self.waits
        self.body(node.body, why or None, self._around or safe)
        self.body(node.orelse)

    def _iterator(self, node: ast.expr) -> str:
        """Why the place in a live iterator cannot be kept, where it is here already."""
        meaning = self._meanings.of(node)
        return "" if meaning is None or meaning.kind != "instance" or meaning.thing is UNKNOWN else cannot_keep_place(meaning.thing)

    # expressions

    def _expressions(self, nodes: Sequence[ast.AST], why: str | None = None) -> None:
        for node in nodes:
            self._expression(node, why or "", awaited=False)

    def _expression(self, node: ast.AST, why: str, *, awaited: bool) -> None:
        if isinstance(node, COMPREHENSIONS):
            self._comprehension(node, why)
            return
        if isinstance(node, ast.Lambda):
            self._expression(node.body, why or "in a lambda", awaited=False)
            return
        if isinstance(node, ast.Call):
            self._call(node, why, awaited=awaited)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and self._notebook.knows(node.id):
            self._site(node.id, why or "handed over to be called by others", awaited=False)
        for child in ast.iter_child_nodes(node):
            if isinstance(node, ast.Call) and child is node.func and isinstance(child, (ast.Name, ast.Attribute)):
                child = child.value if isinstance(child, ast.Attribute) else child.ctx
            self._expression(child, why, awaited=isinstance(node, ast.Await))

    def _comprehension(self, node: ast.AST, why: str) -> None:
        first = node.generators[0]  # type: ignore[attr-defined]
        what = "a generator expression" if isinstance(node, ast.GeneratorExp) else "a comprehension"
        calls = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
        if any(self._leads_far(call) for call in calls) and not self.waits:
            text = f"for {ast.unparse(first.target)} in {ast.unparse(first.iter)}"
            why_not = self._frame_barrier or self._barrier or f"it stands in {what}"
            loop = SeenLoop(node.lineno, _clip(text), self._name, why_not, self._around)  # type: ignore[attr-defined]
            self._found.loops.append(loop)
        self._expression(first.iter, why, awaited=False)
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.comprehension):
                self._expression(child, why or f"in {what}", awaited=False)
        for part in [*first.ifs, *(p for g in node.generators[1:] for p in ast.iter_child_nodes(g))]:  # type: ignore[attr-defined]
            self._expression(part, why or f"in {what}", awaited=False)

    def _leads_far(self, call: ast.Call) -> bool:
        name = called_name(call)
        loops = any(any(p.is_loop for p in f.info.points.values()) for f, _ in self._notebook.called(name)) if name else False
        row = self._long(call)
        return loops or (row is not None and not row.maybe)

    def _call(self, node: ast.Call, why: str, *, awaited: bool) -> None:
        name = called_name(node)
        if name is not None and self._notebook.knows(name):
            self._site(name, self._barred(node, why), awaited=awaited)
        seen = self._long(node)
        if seen is not None:
            if seen.steps and (barred := self._barred(node, why)):
                seen = replace(seen, steps="", why=barred)
            self._found.calls.append(seen)

    def _barred(self, node: ast.Call, why: str) -> str:
        """Why the call cannot be entered again; "" where it can."""
        if self._frame_barrier or (node.end_lineno or 0, node.end_col_offset or 0) in self._info.calls or self.waits:
            return self._frame_barrier
        return f"it is called {self._barrier or why or 'where a resume cannot go on'}"

    def _site(self, name: str, why: str, *, awaited: bool) -> None:
        self.sites.setdefault(name, []).append(_Site(why, self._around, awaited))

    def _long(self, node: ast.Call) -> SeenCall | None:
        """The call as one that loops inside a library, or None."""
        text, called = _clip(f"{ast.unparse(node.func)}()"), self._meanings.of(node.func)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else None
        owner = self._meanings.of(node.func.value) if isinstance(node.func, ast.Attribute) else None
        if owner is not None and owner.kind in ("instance", "class", "text") and method is not None:
            if method in owner.own or state.is_notebooks(defines(owner, method)):
                return None
            text = f"{owner.short}.{method}()" if owner.kind != "text" else text
            for adapter in self._adapters:
                if method in adapter.call_names and any(_is_of(adapter.owner, name) for name in owner.names):
                    why_not = "" if owner.thing is UNKNOWN else adapter.why_not(owner.thing)
                    return self._seen(node, text, adapter.name, steps="" if why_not else adapter.name, why=why_not)
            row = long_call(owner.names, method)
        elif called is not None and called.kind == "instance":
            row, text = long_call(called.names, "__call__"), f"{called.short}()"
        elif called is not None:
            row = long_call(called.names, None)
        else:
            row = None
        if row is None and called is not None and called.kind == "text":
            row = long_call(called.names, None)
        if row is not None:
            sign = {CELL_MAGIC: "%%", COMMAND: "!" if method == "system" else ""}.get(row.library)
            word = node.args[0] if sign and node.args else None
            if isinstance(word, ast.Constant) and isinstance(word.value, str):
                text = _clip(f"`{sign}{word.value}`")
            return self._seen(node, text, row.library, heavy=row.heavy, hint=row.hint)
        if owner is None and method is not None and isinstance(node.func, ast.Attribute):
            receiver = ast.unparse(node.func.value)
            if maybe_long(receiver, method) and not self._notebook.knows(method):
                return self._seen(node, text, "a library", maybe=True)
        return None

    def _seen(self, node: ast.Call, text: str, library: str, **more: Any) -> SeenCall:
        return SeenCall(node.lineno, _clip(text), self._name, library, around=self._around, **more)


def _is_of(owner: str, name: str) -> bool:
    """Whether the class `name` is `owner`, or by its name one like it of the same library (where nothing is loaded yet)."""
    (library, _, _), (own, _, _) = owner.partition("."), name.partition(".")
    return name == owner or (library == own and name.endswith(owner.rpartition(".")[2]))


def _for(node: ast.For | ast.AsyncFor) -> str:
    word = "async for" if isinstance(node, ast.AsyncFor) else "for"
    target = told(node.target)
    return f"{word} {target[1:-1] if isinstance(node.target, ast.Tuple) and target[:1] == '(' else target} in {ast.unparse(node.iter)}"


def _clip(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
