"""Names that every iteration of a loop binds anew, so that between two iterations nobody may need what they hold.

Sure are plain assignments that every way through the body passes; inside an inner `for` too, which is taken to run at
least once. A name that only one arm of an `if` binds (`best_model`) is not among them: an iteration may leave it alone.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from colab_guard.cells.liveness import writes

Names = frozenset[str]
NONE: Names = frozenset()


def bound_anew(body: Sequence[ast.stmt]) -> Names:
    """Names that are bound on every way from the beginning of `body` to its end."""
    found = NONE
    for node in body:
        if _may_leave(node):
            return found
        found |= _bound_by(node)
    return found


def _bound_by(node: ast.stmt) -> Names:
    if isinstance(node, ast.Assign):
        return NONE.union(*(_plain(target) for target in node.targets))
    if isinstance(node, ast.AnnAssign):
        return _plain(node.target) if node.value is not None else NONE
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return bound_anew(node.body).union(*(_plain(item.optional_vars) for item in node.items))
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return _plain(node.target) | bound_anew(node.body)
    if isinstance(node, ast.If):
        return bound_anew(node.body) & bound_anew(node.orelse)
    if isinstance(node, (ast.Try, ast.TryStar)):
        return bound_anew(node.finalbody) | (NONE if node.handlers else bound_anew(node.body))
    return NONE


def _plain(target: ast.expr | None) -> Names:
    """Names that a target binds: `a`, `a, *b`; not what `a.b` and `a[i]` change."""
    return writes(target) if isinstance(target, (ast.Name, ast.Tuple, ast.List, ast.Starred)) else NONE


def _may_leave(node: ast.AST) -> bool:
    """Whether the iteration may end inside `node`."""
    if isinstance(node, (ast.Continue, ast.Break, ast.Return)):
        return True
    if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
        return any(map(_may_leave, node.orelse))
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return False
    return any(map(_may_leave, ast.iter_child_nodes(node)))
