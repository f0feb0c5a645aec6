"""Which names a cell reads from before: itself, before it has written them, or by functions of the notebook."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any

from colab_guard import state
from colab_guard.cells.liveness import reads, writes
from colab_guard.cells.syntax import SCOPES, compiled

SHELL_NAMES = re.compile(r"In|Out|get_ipython|exit|quit|open|_{1,3}|_i{1,3}|_i?\d+|_[dio]h|_exit_code|_cg_.*|__.*__")


def input_names(source: str, namespace: Mapping[str, Any]) -> frozenset[str]:
    """Names in `namespace` that the cell `source` (transformed already) reads from before, itself or by functions."""
    tree = ast.parse(source)
    bound = {name for statement in tree.body for name in bound_names(statement)}
    first = set(_read_first(tree.body)) | {name for name in _read_in_scopes(source) if name not in bound}
    found: set[str] = set()
    todo = list(first)
    while todo:
        name = todo.pop()
        if name in found or name not in namespace or SHELL_NAMES.fullmatch(name):
            continue
        found.add(name)
        value = namespace[name]
        for function in state.functions_of(type(value) if state.is_notebooks(type(value)) else value):
            todo += [other for other in state.globals_read(function.__code__) if other not in bound]
    return frozenset(found)


def iterated_names(source: str) -> frozenset[str]:
    """Names over which loops and comprehensions of the cell go, in whole or in part."""
    around = (ast.For, ast.AsyncFor, ast.comprehension)
    return frozenset().union(*(reads(node.iter) for node in ast.walk(ast.parse(source)) if isinstance(node, around)))


def _read_first(body: Sequence[ast.stmt]) -> frozenset[str]:
    """Names that statements of the cell itself read before they are written there.

    A loop's body is taken to run, for most do: what it binds is not read from before by what comes after the loop.
    """
    found: set[str] = set()
    _scan([_without_bodies(statement) for statement in body], set(), found)
    return frozenset(found)


def _scan(body: Sequence[ast.stmt], bound: set[str], found: set[str]) -> None:
    """Walk `body` in the order in which it runs: `bound` and `found` grow."""
    for node in body:
        if isinstance(node, (ast.For, ast.AsyncFor)):
            found |= reads(node.iter) - bound
            bound |= writes(node.target)
            blocks = [node.body, node.orelse]
        elif isinstance(node, ast.While):
            found |= reads(node.test) - bound
            bound |= _walrus(node.test)
            blocks = [node.body, node.orelse]
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                found |= reads(item.context_expr) - bound
                bound |= writes(item.optional_vars)
            blocks = [node.body]
        elif isinstance(node, (ast.Try, ast.TryStar)):
            bound |= {handler.name for handler in node.handlers if handler.name}
            blocks = [node.body, *(handler.body for handler in node.handlers), node.orelse, node.finalbody]
        elif isinstance(node, (ast.If, ast.Match)):
            _scan_branches(node, bound, found)
            continue
        else:
            found |= reads(node) - bound - _walrus(node)
            bound |= set(bound_names(node))
            continue
        for block in blocks:
            _scan(block, bound, found)


def _scan_branches(node: ast.If | ast.Match, bound: set[str], found: set[str]) -> None:
    """One arm runs: what all of them bind is bound afterwards."""
    test = node.test if isinstance(node, ast.If) else node.subject
    found |= reads(test) - bound
    bound |= _walrus(test)
    arms = [node.body, node.orelse] if isinstance(node, ast.If) else [case.body for case in node.cases]
    patterns = [] if isinstance(node, ast.If) else [n for case in node.cases for n in ast.walk(case.pattern)]
    bound |= {n.name for n in patterns if isinstance(n, (ast.MatchAs, ast.MatchStar)) and n.name}
    ends = []
    for arm in arms:
        end = set(bound)
        _scan(arm, end, found)
        ends.append(end)
    bound |= set.intersection(*ends)


def _walrus(node: ast.AST) -> set[str]:
    return {part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr)}


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
    for constant in compiled(source, "<cell>").co_consts:
        if isinstance(constant, CodeType):
            yield from state.globals_read(constant)


def names_bound(body: Iterable[ast.stmt]) -> frozenset[str]:
    """Names that the statements of a cell bind."""
    return frozenset(name for statement in body for name in bound_names(statement))


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """Names that `statement` binds among the notebook's, in any of its branches."""
    if isinstance(statement, SCOPES):
        yield statement.name  # type: ignore[union-attr]
        return
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from ((alias.asname or alias.name).split(".")[0] for alias in statement.names)
        return
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            yield from bound_names(child)
        elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
            yield from (name for part in child.body for name in bound_names(part))
        else:
            yield from (n.id for n in _own(child) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, (*SCOPES, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _own(child)
