"""What a cell reads that was there before it, and the code of the notebook that made it so.

`input_names` are names which the cell, or a function of the notebook that it reaches, may read before the cell has
written them. `Recipes` knows, for a name, the statements of earlier cells that made its value, and those that made what
these read: a value that differs though its recipe is the same was not changed by a person (a clock, an unseeded draw).
"""

from __future__ import annotations

import ast
import dis
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any

from colab_guard import state
from colab_guard.cells.liveness import SCOPES, Liveness, reads, writes

READS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})
SHELL_NAMES = frozenset({"In", "Out", "get_ipython", "exit", "quit", "open", "_dh", "_oh", "_ih", "__name__", "__builtins__"})
MOST_STATEMENTS = 2000


def globals_read(code: CodeType) -> Iterator[str]:
    """Names that `code`, and code nested in it, looks up among the notebook's."""
    steps = list(dis.get_instructions(code))
    own = {step.argval for step in steps if step.opname == "STORE_NAME"}  # a class's own names
    yield from (str(step.argval) for step in steps if step.opname in READS and step.argval not in own)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from globals_read(constant)


def input_names(source: str, namespace: Mapping[str, Any]) -> frozenset[str]:
    """Names in `namespace` that the cell `source` (transformed already) reads from before, itself or by functions."""
    tree = ast.parse(source)
    bound = {name for statement in tree.body for name in _bound(statement)}
    first = set(_read_first(tree.body)) | {name for name in _read_in_scopes(source) if name not in bound}
    found: set[str] = set()
    todo = list(first)
    while todo:
        name = todo.pop()
        if name in found or name not in namespace or name in SHELL_NAMES or name.startswith("_"):
            continue
        found.add(name)
        for function in state.functions_of(namespace[name]):
            todo += [other for other in globals_read(function.__code__) if other not in bound]
    return frozenset(found)


def _read_first(body: Sequence[ast.stmt]) -> frozenset[str]:
    """Names that statements of the cell itself may read before they are written there."""
    bare = [_without_bodies(statement) for statement in body]
    live = Liveness([*bare, ast.Pass()])
    return live.entry


def _without_bodies(statement: ast.stmt) -> ast.stmt:
    """`statement` with functions reduced to what runs where they are defined: decorators, defaults, annotations."""

    class Bare(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
            return ast.copy_location(ast.Assign([ast.Name(node.name, ast.Store())], _tuple(_at_definition(node))), node)

        visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

        def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
            parts = [*node.decorator_list, *node.bases, *(word.value for word in node.keywords)]
            return ast.copy_location(ast.Assign([ast.Name(node.name, ast.Store())], _tuple(parts)), node)

        def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
            return _tuple([*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)])

        def _comprehension(self, node: Any) -> ast.AST:
            self.generic_visit(node)
            bound = {name for part in node.generators for name in writes(part.target)}
            names = [ast.Name(name, ast.Load()) for name in sorted(reads(node) - bound)]
            return _tuple(names)

        visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    made = Bare().visit(ast.parse(ast.unparse(statement)).body[0])
    assert isinstance(made, ast.stmt)
    return ast.fix_missing_locations(made)


def _at_definition(node: ast.FunctionDef) -> list[ast.expr]:
    arguments = node.args
    parts = [*node.decorator_list, *arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return parts + [argument.annotation for argument in every if argument.annotation is not None]


def _tuple(parts: Sequence[ast.expr]) -> ast.expr:
    return ast.Tuple(list(parts), ast.Load())


def _read_in_scopes(source: str) -> Iterator[str]:
    """Names of the notebook that functions, lambdas and classes inside the cell read."""
    code = compile(source, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from globals_read(constant)


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Names that `statement` binds among the notebook's, in any of its branches."""
    if isinstance(statement, SCOPES):
        yield statement.name  # type: ignore[union-attr]
        return
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from ((alias.asname or alias.name).split(".")[0] for alias in statement.names)
        return
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            yield from _bound(child)
        elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
            yield from (name for part in child.body for name in _bound(part))
        else:
            yield from (n.id for n in _own(child) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, (*SCOPES, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _own(child)


# recipes


class Recipes:
    """The statements of the cells run so far in this kernel, in order, and what each binds, changes and reads."""

    def __init__(self, cells: Iterable[str]) -> None:
        self._steps: list[_Step] = []
        for source in cells:
            self._steps += _steps(source)
        del self._steps[:-MOST_STATEMENTS]

    def of(self, name: str, *, calls: bool = True) -> str | None:
        """A hash of the code that made `name` what it is; None where no cell shows it.

        `calls`: whether methods called on a value (`names.append(...)`) count among what made it.
        """
        used: set[int] = set()
        self._collect(name, len(self._steps), calls, used)
        if not used:
            return None
        text = "\n".join(self._steps[number].text for number in sorted(used))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()

    def _collect(self, name: str, before: int, calls: bool, used: set[int]) -> None:
        todo = [(name, before)]
        seen: set[tuple[str, int]] = set()
        while todo:
            wanted, end = todo.pop()
            for number in range(end - 1, -1, -1):
                step = self._steps[number]
                if wanted not in step.binds and wanted not in step.changes and not (calls and wanted in step.calls):
                    continue
                used.add(number)
                todo += [item for other in step.reads if (item := (other, number)) not in seen]
                seen.update((other, number) for other in step.reads)
                if wanted in step.binds and wanted not in step.reads and step.surely:
                    break


class _Step:
    """One statement: `surely` when it binds its names whenever it runs."""

    def __init__(self, statement: ast.stmt) -> None:
        self.text = state.canonical(statement)
        self.binds = frozenset(_bound(statement))
        self.changes = frozenset(_changed(statement))
        self.calls = frozenset(_called_on(statement))
        self.reads = reads(statement)
        self.surely = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, *SCOPES, ast.With))


@lru_cache(maxsize=1024)
def _steps(source: str) -> tuple[_Step, ...]:
    return tuple(_Step(statement) for statement in _statements(source))


def _statements(source: str) -> list[ast.stmt]:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return []
    found: list[ast.stmt] = []
    for statement in body:
        inner = _cell_magics_body(statement)
        found += [statement] if inner is None else _statements(inner)
    return found


def _cell_magics_body(statement: ast.stmt) -> str | None:
    """The code under a cell magic (`%%checkpointed`, `%%time`): the transform makes it a text."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "run_cell_magic":
        last = call.args[-1] if call.args else None
        if isinstance(last, ast.Constant) and isinstance(last.value, str):
            return last.value
    return None


def _base(node: ast.AST) -> str | None:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _changed(statement: ast.stmt) -> Iterator[str]:
    """Names whose values `statement` changes by an attribute, an item or `+=`."""
    for node in ast.walk(statement):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            base = _base(node)
            if base is not None:
                yield base


def _called_on(statement: ast.stmt) -> Iterator[str]:
    """Names on which `statement` calls a method for its effect."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            base = _base(node.value.func)
            if base is not None:
                yield base
