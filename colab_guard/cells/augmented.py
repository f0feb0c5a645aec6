"""`x += f()` in parts, where `f` may be entered again: what is read before the call is kept beside it.

Python reads `x` first, then calls `f`, then stores. A resume inside `f` must not read `x` anew, since `f` may have changed it,
nor look for the object and the key of `table[key()].x += f()` again.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from colab_guard.cells.calls import Callees
from colab_guard.cells.expressions import bound_inside, candidates
from colab_guard.cells.syntax import located, statements


def needs_parts(node: ast.stmt, known: Callees) -> bool:
    """Whether `node` is one whose target is to be kept beside a call in it."""
    if not isinstance(node, ast.AugAssign):
        return False
    calls = [part for part in ast.walk(node.value) if isinstance(part, ast.Call)]
    if not candidates(node.value, known) and not any(map(known.leads, calls)):
        return False
    if isinstance(node.target, ast.Name):
        return node.target.id in known.rebound | bound_inside(node.value)
    return not any(isinstance(part, ast.Slice) for part in ast.walk(node.target))


def in_parts(node: ast.AugAssign, new_name: Callable[[], str]) -> tuple[list[ast.stmt], ast.stmt, list[ast.stmt]]:
    """What comes before, the statement itself with a hidden variable as its target, and what comes after."""
    before: list[ast.stmt] = []
    hidden: list[str] = []

    def held(value: ast.expr) -> str:
        hidden.append(new_name())
        before.append(located(ast.Assign([ast.Name(hidden[-1], ast.Store())], value), node))
        return hidden[-1]

    def again(target: ast.expr, context: ast.expr_context) -> ast.expr:
        made: ast.expr
        if isinstance(target, ast.Attribute):
            made = ast.Attribute(ast.Name(hidden[0], ast.Load()), target.attr, context)
        elif isinstance(target, ast.Subscript):
            made = ast.Subscript(ast.Name(hidden[0], ast.Load()), ast.Name(hidden[1], ast.Load()), context)
        else:
            assert isinstance(target, ast.Name)
            made = ast.Name(target.id, context)
        return located(made, target)

    target = node.target
    if isinstance(target, (ast.Attribute, ast.Subscript)):
        held(target.value)
    if isinstance(target, ast.Subscript):
        held(target.slice)
    value = held(again(target, ast.Load()))
    stored = located(ast.Assign([again(target, ast.Store())], ast.Name(value, ast.Load())), node)
    forget = [located(part, node) for part in statements(f"{' = '.join(hidden)} = None")]
    made = located(ast.AugAssign(ast.Name(value, ast.Store()), node.op, node.value), node)
    return before, made, [stored, *forget]
