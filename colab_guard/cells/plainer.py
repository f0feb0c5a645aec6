"""Code put into plainer statements where it calls the notebook's loops from inside an expression of its own kind.

`scores = [train(fold) for fold in folds]` is a loop whose iterations train a model each, and so are a generator
expression under `sum()` and the test of `while train_epoch() > limit`. A comprehension cannot be left in the middle and
entered again; a `for` can. So a comprehension that calls such a function becomes one, with what it has gathered in a
hidden variable, and a `while` tests at the head of its body.

Only what is evaluated first in its statement is taken out of it, so that nothing changes its order, and only where no
function inside would see the comprehension's variable. Everything else stays as it is written.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from colab_guard.cells.augmented import in_parts, needs_parts
from colab_guard.cells.calls import Callees
from colab_guard.cells.syntax import COMPREHENSIONS, FUNCTIONS, SCOPES, FunctionNode, copied, expression, located, statements

HIDDEN = "_cgv"
"""Begins the names of what such a loop has gathered, and of its variables. They are part of a snapshot like any name."""
CONSUMERS = frozenset({"sum", "max", "min", "list", "tuple", "set", "sorted"})
"""Builtins that take all that a generator expression gives, in order, before they do anything else."""
TOLD = "_cg_told"
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def plainer(tree: ast.Module, known: Callees) -> ast.Module:
    """A copy of `tree` with its comprehensions and `while` tests that lead to a loop as statements."""
    return _Plainer(tree, known).visit(copied(tree))  # type: ignore[no-any-return]


def told(node: ast.expr) -> str:
    """A loop's target or test as it was written."""
    return str(node.__dict__.get(TOLD) or re.sub(rf"{HIDDEN}\d+_", "", ast.unparse(node)))


class _Plainer(ast.NodeTransformer):
    def __init__(self, tree: ast.Module, known: Callees) -> None:
        self._known = known
        self._numbers = [0]
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]
        self._consumers = CONSUMERS - {node.id for node in names} - {f.name for f in ast.walk(tree) if isinstance(f, FUNCTIONS)}

    # where statements stand

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = self._block(node.body)
        return node

    def visit_FunctionDef(self, node: FunctionNode) -> ast.AST:
        self._numbers.append(0)  # counted from one in each function, so that an edit elsewhere changes no name
        node.body = self._block(node.body)
        self._numbers.pop()
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        for part in node.body:
            if isinstance(part, (*FUNCTIONS, ast.ClassDef)):
                self.visit(part)
        return node

    def _block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for node in body:
            out += self._statement(node)
        return out

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, SCOPES):
            return [self.visit(node)]
        for part in _blocks(node):
            part[:] = self._block(part)
        if isinstance(node, ast.While) and any(self._known.leads(call) for call in _calls(node.test)):
            return self._while(node)
        if isinstance(node, ast.AugAssign) and needs_parts(node, self._known):
            first, middle, last = in_parts(node, self._new_name)
            return [*first, *self._statement(middle), *last]
        field = _field(node)
        if field is None or not self._may_move(node):
            return [node]
        before: list[ast.stmt] = []
        setattr(node, field, self._taken_out(getattr(node, field), before))
        return [*before, node]

    def _may_move(self, node: ast.stmt) -> bool:
        """Whether what `node` evaluates first is its expression; `x += ...` reads x before."""
        if not isinstance(node, ast.AugAssign):
            return True
        return isinstance(node.target, ast.Name) and node.target.id not in self._known.rebound

    # while

    def _while(self, node: ast.While) -> list[ast.stmt]:
        passed = self._new_name()
        test = located(ast.Assign([ast.Name(passed, ast.Store())], node.test), node.test)
        leave = [located(part, node.test) for part in statements(f"if not {passed}: break")]
        node.body = [*self._statement(test), *leave, *node.body]
        written, node.test = ast.unparse(node.test), located(ast.Constant(True), node.test)
        node.test.__dict__[TOLD] = written
        orelse, node.orelse = node.orelse, []
        if not orelse:
            return [node]
        # a `break` of the user's leaves with the test passed
        return [node, located(ast.If(expression(f"not {passed}"), orelse, []), node)]

    # comprehensions

    def _taken_out(self, node: ast.expr, before: list[ast.stmt]) -> ast.expr:
        """`node` with the comprehension that is evaluated first in it as a name; its loop goes into `before`."""
        if isinstance(node, COMPREHENSIONS):
            if isinstance(node, ast.GeneratorExp) or not self._is_loop(node):
                return node
            return self._gathered(node, before)
        if isinstance(node, ast.Call):
            return self._taken_out_of_call(node, before)
        first = _first(node, self._known.rebound)
        if first is not None:
            holder, field = first
            value = getattr(holder, field)
            if isinstance(value, list):
                value[0] = self._taken_out(value[0], before)
            else:
                setattr(holder, field, self._taken_out(value, before))
        return node

    def _taken_out_of_call(self, node: ast.Call, before: list[ast.stmt]) -> ast.expr:
        if not _is_path(node.func):
            if isinstance(node.func, ast.Attribute):
                node.func.value = self._taken_out(node.func.value, before)
            return node
        for place, argument in enumerate(node.args):
            if isinstance(argument, (ast.Name, ast.Constant)):
                continue
            if isinstance(argument, ast.GeneratorExp):
                consumed = isinstance(node.func, ast.Name) and node.func.id in self._consumers
                if place == 0 and consumed and self._is_loop(argument):
                    node.args[0] = self._gathered(argument, before)
            elif not isinstance(argument, ast.Starred):
                node.args[place] = self._taken_out(argument, before)
            break
        return node

    def _is_loop(self, node: Comprehension) -> bool:
        """Whether the comprehension calls what leads to a loop, and may be a `for`."""
        outside = set(ast.walk(node.generators[0].iter))
        parts = [part for part in ast.walk(node) if part is not node and part not in outside]
        if any(isinstance(part, (*SCOPES, *COMPREHENSIONS, ast.Await, ast.Yield, ast.YieldFrom)) for part in parts):
            return False
        if any(generator.is_async for generator in node.generators):
            return False
        return any(isinstance(part, ast.Call) and self._known.leads(part) for part in parts)

    def _gathered(self, node: Comprehension, before: list[ast.stmt]) -> ast.expr:
        name = self._new_name()
        names = {part.id for g in node.generators for part in ast.walk(g.target) if isinstance(part, ast.Name)}
        renamed = {own: f"{name}_{own}" for own in names}
        # what is gone over first is evaluated outside, where the variables mean something else
        first, node.generators[0].iter = node.generators[0].iter, ast.Constant(None)
        _Renamed(renamed).visit(node)
        node.generators[0].iter = first
        body: list[ast.stmt] = self._kept(node, name)
        for generator in reversed(node.generators):
            for test in reversed(generator.ifs):
                body = [located(ast.If(test, body, []), test)]
            body = [located(ast.For(generator.target, generator.iter, body, [], None), node)]
        for part in statements(f"{name} = {_empty(node)}"):
            before.append(located(part, node))
        # the loop's own parts may lead further in
        before += [part for statement in body for part in self._statement(statement)]
        return located(ast.Name(name, ast.Load()), node)

    def _kept(self, node: Comprehension, name: str) -> list[ast.stmt]:
        """The statements that gather one element."""
        if not isinstance(node, ast.DictComp):
            method = "add" if isinstance(node, ast.SetComp) else "append"
            call = expression(f"{name}.{method}()")
            assert isinstance(call, ast.Call)
            call.args.append(node.elt)
            return [located(ast.Expr(call), node)]
        made: list[ast.stmt] = []
        key = node.key
        if not isinstance(key, (ast.Name, ast.Constant)):
            # a comprehension evaluates the key first, an assignment the value
            made.append(located(ast.Assign([ast.Name(f"{name}_", ast.Store())], key), node))
            key = located(ast.Name(f"{name}_", ast.Load()), node)
        target = ast.Subscript(ast.Name(name, ast.Load()), key, ast.Store())
        return [*made, located(ast.Assign([target], node.value), node)]

    def _new_name(self) -> str:
        self._numbers[-1] += 1
        return f"{HIDDEN}{self._numbers[-1]}"


class _Renamed(ast.NodeTransformer):
    """A comprehension's variables are its own."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._names.get(node.id, node.id)
        return node


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        found = getattr(node, field, None)
        if found:
            yield found
    for part in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
        yield part.body


def _field(node: ast.stmt) -> str | None:
    """The field of `node` that holds the expression which it evaluates first."""
    if isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)):
        return "value" if node.value is not None else None
    if isinstance(node, ast.If):
        return "test"
    return "iter" if isinstance(node, ast.For) else None


def _first(node: ast.expr, rebound: frozenset[str]) -> tuple[ast.AST, str] | None:
    """Where the operand stands that `node` evaluates first, or first after names that nothing binds meanwhile."""
    if isinstance(node, ast.BinOp):
        if isinstance(node.left, ast.Name):
            return None if node.left.id in rebound else (node, "right")
        return (node, "right") if isinstance(node.left, ast.Constant) else (node, "left")
    if isinstance(node, ast.Compare):
        return node, "left"
    if isinstance(node, (ast.UnaryOp,)):
        return node, "operand"
    if isinstance(node, (ast.Subscript, ast.Attribute, ast.NamedExpr)):
        return node, "value"
    if isinstance(node, (ast.Tuple, ast.List)) and node.elts and not isinstance(node.elts[0], ast.Starred):
        return node, "elts"
    return None


def _is_path(node: ast.expr) -> bool:
    """Whether `node` is a name, or attributes of one: reading it does nothing."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _calls(node: ast.expr) -> Sequence[ast.Call]:
    if isinstance(node, (*SCOPES, *COMPREHENSIONS)):
        return [] if isinstance(node, SCOPES) else [part for part in ast.walk(node) if isinstance(part, ast.Call)]
    found = [node] if isinstance(node, ast.Call) else []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.expr, ast.keyword)):
            found += _calls(child.value if isinstance(child, ast.keyword) else child)
    return found


def _empty(node: Comprehension) -> str:
    return {ast.SetComp: "set()", ast.DictComp: "{}"}.get(type(node), "[]")
