"""One simple statement whose calls may be entered again: what it had evaluated before a call is kept beside it.

On a resume inside `f` of `total = g(x) + f(y)`, `g` must not run again: its value goes through a hidden name (a
temporary) while the statement runs, and comes from there. Arguments of the call itself are not evaluated again: they
are variables of the frame that is entered.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace

from colab_guard.cells.calls import Callees
from colab_guard.cells.points import Point
from colab_guard.cells.syntax import COMPREHENSIONS, SCOPES, expression, located, statements

SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)
NEVER_KEPT = (ast.Constant, ast.Starred, ast.FormattedValue, ast.Slice, ast.expr_context, ast.operator, ast.cmpop)
NewPoint = Callable[..., int]


def value_of(node: ast.stmt) -> ast.expr | None:
    """The expression of a simple statement in which calls may be entered again."""
    if not isinstance(node, SIMPLE):
        return None
    if isinstance(node, ast.AugAssign) and not isinstance(node.target, ast.Name):
        return None  # it is evaluated first, and is not kept
    return node.value


def candidates(value: ast.expr | None, known: Callees) -> list[ast.expr]:
    """Calls that may lead to a safe point, and places where a generator waits."""
    return [] if value is None else [node for node in _own(value) if _is_candidate(node, known)]


def _is_candidate(node: ast.expr, known: Callees) -> bool:
    return isinstance(node, (ast.Yield, ast.YieldFrom)) or (isinstance(node, ast.Call) and known.may_lead(node))


def _own(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, SCOPES + COMPREHENSIONS):
        return
    yield node
    for child in _children(node):
        yield from _own(child)


def _children(node: ast.expr) -> list[ast.expr]:
    """Operands of `node` in the order in which they are evaluated; of a method call, the object and not the method."""
    if isinstance(node, SCOPES + COMPREHENSIONS):
        return []
    if isinstance(node, ast.Dict):
        pairs = [part for pair in zip(node.keys, node.values, strict=True) for part in pair]
        return [part for part in pairs if part is not None]
    if isinstance(node, ast.Call):
        return [base_of(node.func), *node.args, *(word.value for word in node.keywords)]
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def base_of(callee: ast.expr) -> ast.expr:
    """`a` of `a.b.c`."""
    while isinstance(callee, ast.Attribute):
        callee = callee.value
    return callee


def _kept(node: ast.expr, rebound: frozenset[str]) -> list[ast.expr]:
    """What is kept of an operand that is evaluated before a call: of a part of an f-string or a slice, the values in it.

    A variable is, if what is evaluated after it may bind it anew.
    """
    if isinstance(node, ast.FormattedValue):
        return _kept(node.value, rebound)
    if isinstance(node, ast.Slice):
        return [part for child in _children(node) for part in _kept(child, rebound)]
    if isinstance(node, ast.Name):
        return [node] if node.id in rebound and isinstance(node.ctx, ast.Load) else []
    return [] if isinstance(node, NEVER_KEPT) else [node]


def bound_inside(node: ast.AST) -> frozenset[str]:
    """Variables that `:=` binds in it."""
    return frozenset(part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr))


class StatementRewriter:
    """Rewrites one statement; `new_point` numbers its points, `resume` says which of the two versions is made."""

    def __init__(self, known: Callees, runtime: str, prefix: str, new_point: NewPoint, *, resume: bool) -> None:
        self._known = known
        self._runtime = runtime
        self._prefix = prefix
        self._new_point = new_point
        self._resume = resume
        self._before: dict[ast.expr, list[ast.expr]] = {}
        self._names: dict[ast.expr, str] = {}
        self._points: dict[ast.expr, int] = {}
        self._holders: dict[ast.expr, str] = {}
        self._rebound: frozenset[str] = frozenset()

    def rewrite(self, node: ast.stmt) -> tuple[list[ast.stmt], list[int]]:
        value = value_of(node)
        assert value is not None
        self._rebound = self._known.rebound | bound_inside(value)
        self._look(value, [])
        for candidate, before in self._before.items():
            for part in (*before, *self._callee_base(candidate)):
                self._names.setdefault(part, "")
        self._number()
        node.value = self._made(value)  # type: ignore[attr-defined]
        after: list[ast.stmt] = []
        hidden = sorted([*self._names.values(), *self._holders.values()])
        if hidden and not isinstance(node, ast.Return):
            after = statements(" = ".join(hidden) + " = None")
        return [node, *(located(part, node) for part in after)], list(self._points.values())

    def _look(self, node: ast.expr, earlier: list[ast.expr]) -> None:
        so_far = list(earlier)
        for child in _children(node):
            self._look(child, so_far)
            so_far += _kept(child, self._rebound)
        if _is_candidate(node, self._known):
            self._before[node] = list(earlier)

    def _callee_base(self, node: ast.expr) -> list[ast.expr]:
        base = base_of(node.func) if isinstance(node, ast.Call) else None
        return [] if base is None or isinstance(base, (ast.Name, ast.Constant)) else [base]

    def _number(self) -> None:
        for candidate in self._before:
            kind = {ast.Yield: "yield", ast.YieldFrom: "delegate"}.get(type(candidate), "call")
            text = f"{ast.unparse(candidate.func)}()" if isinstance(candidate, ast.Call) else kind
            self._points[candidate] = self._new_point(kind, candidate, text)
        if self._points:
            stem = next(iter(self._points.values()))
            for number, part in enumerate(self._names):
                self._names[part] = f"{self._prefix}v{stem}_{number}"
        self._holders = {c: f"{self._prefix}y{n}" for c, n in self._points.items() if isinstance(c, ast.YieldFrom)}

    def details(self, number: int, point: Point) -> Point:
        """`point` with what is known once all of the statement is."""
        candidate = next(c for c, n in self._points.items() if n == number)
        temps = tuple(self._names[part] for part in self._before[candidate])
        callee: tuple[str, ...] = ()
        if isinstance(candidate, ast.Call):
            callee = self._callee_path(candidate.func)
        return replace(point, temps=temps, callee=callee, holder=self._holders.get(candidate, ""))

    def _callee_path(self, callee: ast.expr) -> tuple[str, ...]:
        path: list[str] = []
        while isinstance(callee, ast.Attribute):
            path.insert(0, callee.attr)
            callee = callee.value
        first = callee.id if isinstance(callee, ast.Name) else self._names.get(callee, "")
        return (first, *path)

    # the new expression

    def _made(self, node: ast.expr) -> ast.expr:
        """`node` with its candidates and temporaries, in place where nothing changes."""
        if not isinstance(node, SCOPES + COMPREHENSIONS):
            self._rebuild(node)
        made = self._candidate(node) if node in self._points else node
        name = self._names.get(node)
        if name is None:
            return made
        kept = located(ast.NamedExpr(ast.Name(name, ast.Store()), made), node)
        users = [str(self._points[c]) for c, before in self._before.items() if node in before]
        if not self._resume or not users:
            return kept
        test = expression(f"{self._runtime}.R and {self._runtime}.at({', '.join(users)})")
        return located(ast.IfExp(test, ast.Name(name, ast.Load()), kept), node)

    def _rebuild(self, node: ast.AST) -> None:
        for field, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(node, field, self._made(value))
            elif isinstance(value, list):
                value[:] = [self._made(part) if isinstance(part, ast.expr) else part for part in value]
                for part in value:
                    if isinstance(part, ast.keyword):
                        part.value = self._made(part.value)

    def _candidate(self, node: ast.expr) -> ast.expr:
        point = self._points[node]
        asked = self._runtime
        if isinstance(node, ast.YieldFrom):
            if self._resume:
                again = ast.IfExp(expression(f"{asked}.yielded({point})"), expression(f"{asked}.delegate()"), node.value)
                node.value = located(again, node)
            node.value = located(ast.NamedExpr(ast.Name(self._holders[node], ast.Store()), node.value), node)
            return node
        if not self._resume:
            return node
        if isinstance(node, ast.Yield):
            value = node.value or ast.Constant(None)
            node.value = located(ast.IfExp(expression(f"{asked}.yielded({point})"), ast.Constant(None), value), node)
            return node
        assert isinstance(node, ast.Call)
        otherwise: ast.expr = node
        if isinstance(node.func, ast.Attribute) and node.func.attr in self._known.library:
            enter = expression(f"{asked}.library({point}, None)")
            assert isinstance(enter, ast.Call)
            enter.args[1] = node.func
            otherwise = ast.IfExp(expression(f"{asked}.R and {asked}.at({point})"), located(enter, node), node)
        entered = expression(f"{asked}.call({point})")
        return located(ast.IfExp(expression(f"{asked}.into({point})"), located(entered, node), otherwise), node)
