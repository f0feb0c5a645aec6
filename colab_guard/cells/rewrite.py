"""The AST of a cell, made resumable.

1. A run of statements with no point inside stands under `if not R` (R: the runtime is resuming).
2. A statement on a path to a point stands under `if not R or at(ids)`; a branch taken before is taken again through
   `br(id)`, its test is not evaluated; `with` gets its context manager back through `ctx`.
3. `for t in X` becomes `L = loop(id, None if R else X)` and `for t in L.run()`; `while C` asks `L.ticks()` first. The
   safe point is before the next item, or before the test.
4. A call that may enter a library loop becomes `call(id, f) if R and at(id) else f(...)`: on a resume its arguments
   are not evaluated again.
5. After every statement of the cell stands a safe point of its own; the last expression's value is put into a name.

All generated nodes carry the lines of the user's code, so that tracebacks, and the look-up of a frame's position by
`co_positions`, speak of the true source. Hidden names begin with `_cg_` (two leading underscores would be mangled
inside classes).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from colab_guard.cells.liveness import SCOPES, Liveness
from colab_guard.cells.points import CELL, Arm, Chain, FrameInfo, Point, PointKind

RUNTIME = "_cg_"
PREFIX = "_cg_"
VALUE = "_cg_value"
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Node = TypeVar("Node", ast.stmt, ast.expr)
SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign)


def loop_name(point: int) -> str:
    return f"{PREFIX}L{point}"


def context_name(point: int, item: int) -> str:
    return f"{PREFIX}W{point}_{item}"


class Rewriter:
    """Rewrites one body of statements (the cell's; a notebook function's takes the same way) into a `FrameInfo`."""

    def __init__(self, call_names: Iterable[str], frame: str = CELL) -> None:
        self.info = FrameInfo(frame)
        self._calls = frozenset(call_names)
        self._live = Liveness([])

    def cell(self, tree: ast.Module) -> ast.Module:
        """The whole cell; `tree` is changed in place and given back."""
        self._live = Liveness(tree.body)
        tree.body = self._block(tree.body, (), top=True)
        return ast.fix_missing_locations(tree)

    # which statements have points inside

    def _library_calls(self, node: ast.AST) -> list[ast.Call]:
        return [n for n in _own_expressions(node) if isinstance(n, ast.Call) and self._names_library(n)]

    def _names_library(self, call: ast.Call) -> bool:
        return isinstance(call.func, ast.Attribute) and call.func.attr in self._calls

    def _has_point(self, node: ast.stmt) -> bool:
        if isinstance(node, (ast.For, ast.While)):
            return True
        if isinstance(node, SIMPLE):
            return bool(self._library_calls(node))
        if isinstance(node, (ast.If, ast.Try)):
            return any(map(self._has_point, node.body + node.orelse))
        if isinstance(node, ast.With):
            return any(map(self._has_point, node.body))
        return False

    def _point(self, kind: PointKind, chain: Chain, node: ast.stmt, *, behind: bool = False, text: str = "") -> int:
        number = len(self.info.points) + 1
        live = self._live.behind(node) if behind else self._live.of(node)
        self.info.points[number] = Point(number, kind, chain, node.lineno, live, text)
        return number

    # blocks and statements

    def _block(self, body: list[ast.stmt], chain: Chain, *, top: bool = False) -> list[ast.stmt]:
        if not top and not any(map(self._has_point, body)):
            return body
        out: list[ast.stmt] = []
        plain: list[ast.stmt] = []
        for node in body:
            if self._has_point(node):
                out += _unless_resuming(plain)
                plain = []
                out.append(self._on_path(node, chain, top=top))
            elif top:
                out.append(self._plain_top(node, chain))
            else:
                plain.append(node)
        return out + _unless_resuming(plain)

    def _plain_top(self, node: ast.stmt, chain: Chain) -> ast.stmt:
        after = self._point("stmt", chain, node, behind=True)
        guarded = ast.If(_expression("not _cg_.R"), [node, *_end_point(after)], _arrive(after))
        return _located(guarded, node)

    def _on_path(self, node: ast.stmt, chain: Chain, *, top: bool) -> ast.stmt:
        new, points = self._statement(node, chain)
        test = _expression(f"not _cg_.R or _cg_.at({', '.join(map(str, points))})")
        guarded = ast.If(test, new, [])
        if top:
            after = self._point("stmt", chain, node, behind=True)
            guarded.body += _end_point(after)
            guarded.orelse = _arrive(after)
        return _located(guarded, node)

    def _statement(self, node: ast.stmt, chain: Chain) -> tuple[list[ast.stmt], list[int]]:
        if isinstance(node, ast.For):
            return self._for(node, chain)
        if isinstance(node, ast.While):
            return self._while(node, chain)
        if isinstance(node, ast.If):
            return self._if(node, chain)
        if isinstance(node, ast.With):
            return self._with(node, chain)
        if isinstance(node, ast.Try):
            return self._try(node, chain)
        return self._call(node, chain)

    def _for(self, node: ast.For, chain: Chain) -> tuple[list[ast.stmt], list[int]]:
        point = self._point("for", chain, node, text=f"for {ast.unparse(node.target)}")
        name = loop_name(point)
        outermost = not any(self.info.points[k].is_loop for k, _ in chain)
        re_entered = any(map(self._has_point, node.body))
        body, orelse = self._arms(node.body, node.orelse, point, chain)
        enter = _statements(f"{name} = _cg_.loop({point}, None)")
        assign = enter[0]
        assert isinstance(assign, ast.Assign) and isinstance(assign.value, ast.Call)
        assign.value.args[1] = ast.IfExp(_expression("_cg_.R"), _expression("None"), node.iter)
        target: ast.expr = node.target
        if re_entered:
            item = f"{PREFIX}t{point}"
            put = ast.Assign([node.target], ast.Name(item, ast.Load()))
            body = [ast.If(_expression("not _cg_.R"), [_located(put, node)], []), *body]
            target = ast.Name(item, ast.Store())
        if outermost and not _is_range(node.iter):
            # a policy may govern this loop: the body's errors go through the loop. A `with` and not an `except`,
            # because only the former leaves the frame's line where the error was
            body = [ast.With([ast.withitem(_expression(name))], body)]
        loop = ast.For(target, _expression(f"{name}.run()"), body, orelse, None)
        return _placed([*enter, loop, *_statements(f"{name}.end()")], node), [point]

    def _while(self, node: ast.While, chain: Chain) -> tuple[list[ast.stmt], list[int]]:
        point = self._point("while", chain, node, text=f"while {ast.unparse(node.test)}")
        name = loop_name(point)
        re_entered = any(map(self._has_point, node.body))
        body, orelse = self._arms(node.body, node.orelse, point, chain)
        again: ast.expr = node.test
        if re_entered:
            again = ast.BoolOp(ast.Or(), [_expression("_cg_.R"), node.test])
        test = ast.BoolOp(ast.And(), [_expression(f"{name}n()"), again])
        enter = _statements(f"{name} = _cg_.loop({point}, _cg_.TICKS)\n{name}n = {name}.ticks().__next__")
        return _placed([*enter, ast.While(test, body, orelse), *_statements(f"{name}.end()")], node), [point]

    def _if(self, node: ast.If, chain: Chain) -> tuple[list[ast.stmt], list[int]]:
        point = self._point("if", chain, node)
        body, orelse = self._arms(node.body, node.orelse, point, chain)
        test = ast.IfExp(_expression("_cg_.R"), _expression(f"_cg_.br({point})"), node.test)
        return _placed([ast.If(test, body, orelse)], node), [point]

    def _with(self, node: ast.With, chain: Chain) -> tuple[list[ast.stmt], list[int]]:
        point = self._point("with", chain, node)
        items = []
        for number, item in enumerate(node.items):
            again = _expression(f"_cg_.ctx({point}, {number}, lambda: None)")
            assert isinstance(again, ast.Call) and isinstance(again.args[2], ast.Lambda)
            again.args[2].body = item.context_expr
            manager = ast.IfExp(_expression("_cg_.R"), again, item.context_expr)
            kept = ast.NamedExpr(ast.Name(context_name(point, number), ast.Store()), manager)
            items.append(ast.withitem(kept, item.optional_vars))
        body, _ = self._arms(node.body, [], point, chain)
        return _placed([ast.With(items, body, None)], node), [point]

    def _try(self, node: ast.Try, chain: Chain) -> tuple[list[ast.stmt], list[int]]:
        point = self._point("try", chain, node)
        body, orelse = self._arms(node.body, node.orelse, point, chain)
        if node.orelse:
            # a resume inside the else arm goes past the body, which had ended well
            body = [_located(ast.If(_expression(f"not _cg_.R or _cg_.br({point})"), body, []), node)]
        return _placed([ast.Try(body, node.handlers, orelse, node.finalbody)], node), [point]

    def _call(self, node: ast.stmt, chain: Chain) -> tuple[list[ast.stmt], list[int]]:
        points: list[int] = []
        calls = self._library_calls(node)
        rewriter = self

        class Swap(ast.NodeTransformer):
            def visit_Call(self, call: ast.Call) -> ast.AST:
                self.generic_visit(call)
                if call not in calls:
                    return call
                point = rewriter._point("call", chain, node, text=f"{ast.unparse(call.func)}()")
                points.append(point)
                rewriter.info.calls[call.end_lineno or 0, call.end_col_offset or 0] = point
                again = _expression(f"_cg_.call({point}, None)")
                assert isinstance(again, ast.Call)
                again.args[1] = call.func
                test = _expression(f"_cg_.R and _cg_.at({point})")
                return ast.copy_location(ast.IfExp(test, _located(again, call), call), call)

        return _placed([Swap().visit(node)], node), points

    def _arms(
        self, body: list[ast.stmt], orelse: list[ast.stmt], point: int, chain: Chain
    ) -> tuple[list[ast.stmt], list[ast.stmt]]:
        def inside(arm: Arm) -> Chain:
            return (*chain, (point, arm))

        return self._block(body, inside("body")), self._block(orelse, inside("orelse")) if orelse else []


def take_last_expression(tree: ast.Module) -> bool:
    """Turn a cell's last expression into an assignment to `VALUE`; say whether there was one."""
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        return False
    last = tree.body[-1]
    tree.body[-1] = ast.copy_location(ast.Assign([ast.Name(VALUE, ast.Store())], last.value), last)
    ast.fix_missing_locations(tree)
    return True


def _own_expressions(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below `node` that run in its own frame, once: not in lambdas, comprehensions or definitions."""
    if isinstance(node, SCOPES + COMPREHENSIONS):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _own_expressions(child)


def _unless_resuming(body: list[ast.stmt]) -> list[ast.stmt]:
    return [_located(ast.If(_expression("not _cg_.R"), body, []), body[0])] if body else []


def _end_point(point: int) -> list[ast.stmt]:
    return _statements(f"_cg_.point({point})")


def _arrive(point: int) -> list[ast.stmt]:
    return _statements(f"if _cg_.at({point}): _cg_.arrived()")


def _is_range(iterable: ast.expr) -> bool:
    return isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name) and iterable.func.id == "range"


def _expression(source: str) -> ast.expr:
    return _bare(ast.parse(source, mode="eval")).body  # type: ignore[attr-defined,no-any-return]


def _statements(source: str) -> list[ast.stmt]:
    return _bare(ast.parse(source)).body  # type: ignore[attr-defined,no-any-return]


def _bare(node: ast.AST) -> ast.AST:
    """`node` without positions, to be given those of the user's code."""
    for part in ast.walk(node):
        for attribute in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
            part.__dict__.pop(attribute, None)
    return node


def _located(node: Node, source: ast.AST) -> Node:
    """Give `node`, and all below it that has none yet, the position of `source`."""
    if "lineno" not in node.__dict__:
        ast.copy_location(node, source)
    for child in ast.walk(node):
        if "lineno" in getattr(child, "_attributes", ()) and "lineno" not in child.__dict__:
            ast.copy_location(child, source)
    return node


def _placed(nodes: Sequence[ast.stmt], source: ast.AST) -> list[ast.stmt]:
    return [_located(node, source) for node in nodes]
