"""Which names may be read, from a statement on, before they are written again (backward data-flow over the AST).

What is not live at a safe point need not be whole in the snapshot there: a `loss` whose graph is spent, an iterator
used up. What is live must be. Names of this scope that nested functions and classes read count as live everywhere
(their calls cannot be seen from here).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from colab_guard.cells.syntax import FUNCTIONS, SCOPES, local_names, own_nodes

Names = frozenset[str]
NONE: Names = frozenset()
INTROSPECTION = frozenset({"locals", "vars", "eval", "exec", "dir"})
SWALLOWING = frozenset({"suppress", "ExitStack", "AsyncExitStack", "raises", "assertRaises"})


def reads(node: ast.AST | None) -> Names:
    """Names that `node` reads, deletes or changes in place."""
    if node is None:
        return NONE
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Load, ast.Del))}
    found |= {n.target.id for n in ast.walk(node) if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)}
    return frozenset(found)


def writes(node: ast.AST | None) -> Names:
    """Names that `node` surely binds when it runs: plain targets, not those inside conditional expressions."""
    if node is None:
        return NONE
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del)))


def nested_reads(body: Iterable[ast.stmt]) -> Names:
    """Names of this scope that functions, lambdas and classes anywhere below `body` read: not those of their own."""
    return NONE.union(*(_free(node) for node in own_nodes(list(body)) if isinstance(node, SCOPES)))


def _free(scope: ast.AST) -> Names:
    """Names that a function, lambda or class reads and does not bind itself."""
    body: list[ast.AST] = scope.body if isinstance(scope.body, list) else [scope.body]  # type: ignore[attr-defined]
    inside: set[str] = set()
    for node in own_nodes(body):
        if isinstance(node, SCOPES):
            inside |= _free(node)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Load, ast.Del)):
            inside.add(node.id)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            inside.add(node.target.id)
    head = NONE
    if isinstance(scope, FUNCTIONS):
        inside -= local_names(scope)
        head = reads(scope.args).union(*map(reads, scope.decorator_list), reads(scope.returns))
    elif isinstance(scope, ast.Lambda):
        inside -= {argument.arg for argument in ast.walk(scope.args) if isinstance(argument, ast.arg)}
        head = reads(scope.args)
    elif isinstance(scope, ast.ClassDef):
        head = NONE.union(*map(reads, [*scope.decorator_list, *scope.bases, *scope.keywords]))
    return head | inside


def _seen_by_introspection(body: list[ast.stmt]) -> Names:
    """All names, where code may look at them in ways that cannot be seen here."""
    names = [n for statement in body for n in ast.walk(statement) if isinstance(n, ast.Name)]
    if not INTROSPECTION & {n.id for n in names if isinstance(n.ctx, ast.Load)}:
        return NONE
    return frozenset(n.id for n in names)


def _may_swallow(item: ast.withitem) -> bool:
    """Whether a context manager is one that is known to end errors: most do not, and take names of graphs with them."""
    made = item.context_expr
    called = made.func if isinstance(made, ast.Call) else None
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return name in SWALLOWING


class Liveness:
    """`at[id(statement)]`: for a loop, what is live before its next item; for others, what is live after or during it."""

    def __init__(self, body: list[ast.stmt], first: str | None = None) -> None:
        """`first` is a function's first parameter, which `super()` reads."""
        self.at: dict[int, Names] = {}
        self.after: dict[int, Names] = {}
        self._on_error = NONE
        self._in_loop = False
        self._always = nested_reads(body) | _seen_by_introspection(body)
        if first is not None and any(isinstance(n, ast.Name) and n.id == "super" for part in body for n in ast.walk(part)):
            self._always |= {first}
        self._block(body, NONE, NONE, NONE)

    def _kept(self, place: dict[int, Names], statement: ast.stmt, live: Names) -> None:
        # an error can come from anywhere: what is read where it is caught is live all the way there
        place[id(statement)] = live | self._on_error

    def _inside(self, body: list[ast.stmt], out: Names, on_break: Names, on_continue: Names, on_error: Names) -> Names:
        """A block whose errors may go on to code that reads `on_error`."""
        before = self._on_error
        self._on_error = before | on_error
        live = self._block(body, out, on_break, on_continue)
        self._on_error = before
        return live

    def of(self, statement: ast.stmt) -> Names:
        return self.at.get(id(statement), NONE) | self._always

    def behind(self, statement: ast.stmt) -> Names:
        return self.after.get(id(statement), NONE) | self._always

    def _block(self, body: list[ast.stmt], out: Names, on_break: Names, on_continue: Names) -> Names:
        live = out
        for statement in reversed(body):
            self._kept(self.after, statement, live)
            live = self._statement(statement, live, on_break, on_continue)
        return live

    def _statement(self, node: ast.stmt, out: Names, on_break: Names, on_continue: Names) -> Names:
        if isinstance(node, (ast.For, ast.AsyncFor)):
            after = self._block(node.orelse, out, on_break, on_continue)
            outermost, self._in_loop = not self._in_loop, True
            # a policy may let the next item follow after an error
            head = self._fixpoint(after, lambda h: self._inside(node.body, h, out, h, h if outermost else NONE) - writes(node.target))
            self._in_loop = not outermost
            self._kept(self.at, node, head)
            return head | reads(node.iter)
        if isinstance(node, ast.While):
            endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
            after = NONE if endless else self._block(node.orelse, out, on_break, on_continue)
            head = self._fixpoint(reads(node.test) | after, lambda h: self._block(node.body, h, out, h))
            self._kept(self.at, node, head)
            return head
        if isinstance(node, ast.If):
            taken = self._block(node.body, out, on_break, on_continue)
            head = reads(node.test) | taken | self._block(node.orelse, out, on_break, on_continue)
            self._kept(self.at, node, head)
            return head
        if isinstance(node, (ast.With, ast.AsyncWith)):
            # where an error from anywhere in the body is swallowed, what follows reads is live all through it
            swallowed = out if any(map(_may_swallow, node.items)) else NONE
            inside = self._inside(node.body, out, on_break, on_continue, swallowed)
            for item in node.items:
                inside -= writes(item.optional_vars)
            return inside.union(*(reads(item.context_expr) for item in node.items))
        if isinstance(node, (ast.Try, ast.TryStar)):
            return self._try(node, out, on_break, on_continue)
        if isinstance(node, ast.Match):
            arms = [self._block(case.body, out, on_break, on_continue) for case in node.cases]
            return out.union(reads(node.subject), *arms, *(reads(case.guard) for case in node.cases))
        return self._simple(node, out, on_break, on_continue)

    def _try(self, node: ast.Try | ast.TryStar, out: Names, on_break: Names, on_continue: Names) -> Names:
        final = self._block(node.finalbody, out, on_break, on_continue)
        caught = NONE
        for handler in node.handlers:
            caught |= self._inside(handler.body, final, on_break, on_continue, final) | reads(handler.type)
        orelse = self._inside(node.orelse, final, on_break, on_continue, final)
        live = self._inside(node.body, orelse | caught | final, on_break | final, on_continue | final, caught | final)
        return live | caught | final

    def _simple(self, node: ast.stmt, out: Names, on_break: Names, on_continue: Names) -> Names:
        if isinstance(node, ast.Break):
            return on_break
        if isinstance(node, ast.Continue):
            return on_continue
        self._kept(self.at, node, out | reads(node))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return (out - {node.name}) | reads(node)
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            return (out - self._sure_targets(node)) | reads(node)
        return out | reads(node)

    @staticmethod
    def _sure_targets(node: ast.Assign | ast.AnnAssign) -> Names:
        if isinstance(node, ast.AnnAssign):
            return writes(node.target) if node.value is not None else NONE
        return frozenset().union(*(writes(target) for target in node.targets))

    @staticmethod
    def _fixpoint(start: Names, step) -> Names:  # type: ignore[no-untyped-def]
        head = start
        while True:
            grown = head | step(head)
            if grown == head:
                return head
            head = grown
