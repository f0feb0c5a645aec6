"""Grids of sweeps that a cell makes itself, as constants: `Sweep("lora", grid(rank=[2, 4]))` at the cell's own level.

Such a grid may be edited between two runs of the cell: the sweep is made anew before what was committed is taken up, as
if a cell above had made it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

SWEEP = "Sweep"
WORDS = frozenset({"grid", "range", "dict", "list", "tuple", "zip", "enumerate", "sorted", "float", "int", "str", "round"})
"""What a grid of constants may call."""
LIBRARY = frozenset({"colab_guard", "cg", "guard"})
"""Names by which `grid` and `Sweep` are reached, beside those of their own."""


@dataclass(frozen=True, slots=True)
class GridChange:
    """The sweep `name`, whose grid is another one at this line; `source` is the call that makes it now."""

    line: int
    name: str
    source: str

    def __str__(self) -> str:
        return f"line {self.line}: the grid of the sweep {self.name!r} changed"


def grids(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Names of sweeps and the calls that make them from constants, in the order of the source: each runs once."""
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Expr)):
            inside: ast.AST | None = node.value
        elif isinstance(node, ast.For):
            inside = node.iter
        else:
            continue
        for call in ast.walk(inside) if inside is not None else ():
            if isinstance(call, ast.Call) and (name := _sweep_named(call)) is not None:
                yield name, call


def parameters(call: ast.Call) -> ast.expr:
    """What the sweep is to go over."""
    return call.args[1] if len(call.args) > 1 else next(word.value for word in call.keywords if word.arg == "params")


def put_parameters(call: ast.Call, other: ast.expr) -> None:
    """Let the call be given `other` for it."""
    if len(call.args) > 1:
        call.args[1] = other
        return
    for word in call.keywords:
        if word.arg == "params":
            word.value = other


def _sweep_named(call: ast.Call) -> str | None:
    if not _is_called(call.func, SWEEP) or len(call.args) > 2 or any(word.arg is None for word in call.keywords):
        return None
    given = {word.arg: word.value for word in call.keywords}
    name = call.args[0] if call.args else given.pop("name", None)
    wanted = call.args[1] if len(call.args) > 1 else given.pop("params", None)
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)) or wanted is None:
        return None
    return name.value if _is_constant(wanted) and all(map(_is_constant, given.values())) else None


def _is_called(function: ast.expr, word: str) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr == word and isinstance(function.value, ast.Name) and function.value.id in LIBRARY
    return isinstance(function, ast.Name) and function.id == word


def _is_constant(node: ast.expr) -> bool:
    """Whether this says the same wherever it is evaluated: no names but those of `WORDS`, and its own."""
    own = {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id not in own | WORDS | LIBRARY:
            return False
        if isinstance(part, ast.Attribute) and not _is_called(part, "grid"):
            return False
        if isinstance(part, (ast.Lambda, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)):
            return False
    return True
