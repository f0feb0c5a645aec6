"""The AST of a cell, or of a notebook's function, made resumable: in two versions.

The running version is the user's code with its loops seen through: `for t in X` becomes `L = loop(id, X)` and `for t in
L.run()`, `while C` becomes `for () in L.ticks(): if not C: break`, which is faster than a call before each test; a
context manager and what a statement evaluates before a call are noted under hidden names. Nothing else is added, so
that what is not a loop costs nothing.

The resume version finds its way back to a position, and goes on from there as the running one does. In it,

1. a run of statements with no point inside stands under `if not R` (R: this frame is finding its way);
2. a statement on a path to a point stands under `if not R or at(ids)`; a branch taken before is taken again through
   `br(id)`, its test is not evaluated; `with` gets its context manager back;
3. loops come back in their place; the safe point is before the next item, or before the test;
4. a call on the path becomes `call(id)`: the frame that it had made is made again, with no argument evaluated;
5. in a function, variables are set first, from what the snapshot held.

After every statement of the cell stands a safe point; the last expression's value is put into a name. All generated
nodes carry the positions of the user's code, so that tracebacks, and the look-up of a frame's position by
`co_positions`, speak of the true source. Hidden names begin with `_cg_` (two leading underscores would be mangled
inside classes).
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from colab_guard.cells.calls import Callees
from colab_guard.cells.expressions import StatementRewriter, candidates, value_of
from colab_guard.cells.liveness import Liveness
from colab_guard.cells.plainer import told
from colab_guard.cells.points import CELL, Arm, Chain, FrameInfo, Point, PointKind
from colab_guard.cells.rebound import bound_anew
from colab_guard.cells.syntax import copied, expression, located, placed, statements

RUNTIME = "_cg_"
RESUMER = "_cg_r"
BARE = "_cg_b"
CELLS = "_cg_C"
PREFIX = "_cg_"
VALUE = "_cg_value"
GOVERNED_INSIDE = 1
"""So many loops may be around one that a policy governs: each that may be governed has its body twice."""
Made = tuple[list[ast.stmt], list[int]]


def loop_name(point: int) -> str:
    return f"{PREFIX}L{point}"


def context_name(point: int, item: int) -> str:
    return f"{PREFIX}W{point}_{item}"


class Rewriter:
    """Rewrites one body of statements, the cell's or a function's, and learns its points (`info`).

    `slot` numbers the loops that may run bare; the resume version has none.
    """

    def __init__(
        self, known: Callees, info: FrameInfo, live: Liveness, *, resume: bool, slot: Callable[[], int] | None = None
    ) -> None:
        self.info = info
        self._known = known
        self._live = live
        self._resume = resume
        self._slot = slot
        self._asked = RESUMER if resume else RUNTIME

    def body(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return self._block(body, (), top=self.info.id == CELL)

    # which statements have points inside

    def has_point(self, node: ast.stmt) -> bool:
        if isinstance(node, (ast.For, ast.While)):
            return True
        if isinstance(node, (ast.If, ast.Try)):
            hoisted = isinstance(node, ast.If) and bool(candidates(node.test, self._known))
            return hoisted or any(map(self.has_point, node.body + node.orelse))
        if isinstance(node, ast.With):
            return any(map(self.has_point, node.body))
        if isinstance(node, ast.Match):
            return any(self.has_point(part) for case in node.cases for part in case.body)
        return bool(candidates(value_of(node), self._known))

    def _point(self, kind: PointKind, chain: Chain, node: ast.stmt, *, behind: bool = False, text: str = "") -> int:
        number = len(self.info.points) + 1
        live = self._live.behind(node) if behind else self._live.of(node)
        anew = bound_anew(node.body) if isinstance(node, ast.For) else frozenset()
        self.info.points[number] = Point(number, kind, chain, node.lineno, live, text, end=node.end_lineno or node.lineno, anew=anew)
        return number

    # blocks and statements

    def _block(self, body: list[ast.stmt], chain: Chain, *, top: bool = False) -> list[ast.stmt]:
        if not top and not any(map(self.has_point, body)):
            return body
        out: list[ast.stmt] = []
        plain: list[ast.stmt] = []
        for node in body:
            if self.has_point(node):
                out += self._unless_resuming(plain)
                plain = []
                out += self._on_path(node, chain, top=top)
            elif top:
                out += self._ended(node, chain, [node], None)
            else:
                plain.append(node)
        return out + self._unless_resuming(plain)

    def _on_path(self, node: ast.stmt, chain: Chain, *, top: bool) -> list[ast.stmt]:
        hoisted, points = self._hoisted(node, chain)
        new, more = self._statement(node, chain)
        new, points = [*hoisted, *new], [*points, *more]
        if top:
            return self._ended(node, chain, new, points)
        if not self._resume:
            return new
        return [located(ast.If(self._reaches(points), new, []), node)]

    def _ended(self, node: ast.stmt, chain: Chain, new: list[ast.stmt], points: list[int] | None) -> list[ast.stmt]:
        """A statement of the cell, and the safe point after it."""
        after = self._point("stmt", chain, node, behind=True)
        reached = placed(statements(f"{RUNTIME}.point({after})"), node)
        if not self._resume:
            return [*new, *reached]
        test = expression(f"not {RESUMER}.R") if points is None else self._reaches(points)
        arrive = statements(f"if {RESUMER}.at({after}): {RESUMER}.arrived()")
        return [located(ast.If(test, [*new, *reached], arrive), node)]

    def _reaches(self, points: list[int]) -> ast.expr:
        return expression(f"not {RESUMER}.R or {RESUMER}.at({', '.join(map(str, points))})")

    def _unless_resuming(self, body: list[ast.stmt]) -> list[ast.stmt]:
        if not body or not self._resume:
            return body
        return [located(ast.If(expression(f"not {RESUMER}.R"), body, []), body[0])]

    def _hoisted(self, node: ast.stmt, chain: Chain) -> Made:
        """A call in the test of an `if`, or in what a `for` goes over, as a statement of its own before it."""
        if isinstance(node, ast.If) and candidates(node.test, self._known):
            name = f"{PREFIX}i{len(self.info.points) + 1}"
            before = located(ast.Assign([ast.Name(name, ast.Store())], node.test), node.test)
            node.test = located(ast.Name(name, ast.Load()), node.test)
        elif isinstance(node, ast.For) and candidates(node.iter, self._known):
            name = f"{PREFIX}i{len(self.info.points) + 1}"
            before = located(ast.Assign([ast.Name(name, ast.Store())], node.iter), node.iter)
            node.iter = located(ast.Name(name, ast.Load()), node.iter)
        else:
            return [], []
        new, points = self._simple(before, chain, node)
        if not self._resume:
            return new, points
        return [located(ast.If(self._reaches(points), new, []), node)], points

    def _statement(self, node: ast.stmt, chain: Chain) -> Made:
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
        if isinstance(node, ast.Match):
            return self._match(node, chain)
        return self._simple(node, chain, node)

    def _loop(self, point: int, iterable: str = "None") -> ast.expr:
        where = "" if self.info.id == CELL or self._resume else f", {self.info.id!r}"
        return expression(f"{self._asked}.loop({point}, {iterable}{where})")

    def _for(self, node: ast.For, chain: Chain) -> Made:
        point = self._point("for", chain, node, text=f"for {told(node.target)}")
        name = loop_name(point)
        around = self.info.loops_around(chain)
        re_entered = self._resume and any(map(self.has_point, node.body))
        body, orelse = self._arms(node.body, node.orelse, point, chain)
        made: ast.expr = self._loop(point)
        assert isinstance(made, ast.Call)
        iterable = node.iter = _as_python_folds(node.iter)
        made.args[1] = ast.IfExp(expression(f"{RESUMER}.R"), ast.Constant(None), iterable) if self._resume else iterable
        target: ast.expr = node.target
        if re_entered:
            item = f"{PREFIX}t{point}"
            put = ast.Assign([node.target], ast.Name(item, ast.Load()))
            body = [ast.If(expression(f"not {RESUMER}.R"), [located(put, node)], []), *body]
            target = ast.Name(item, ast.Store())
        over: ast.expr = expression(f"{name}.run()")
        slot = self._slot() if self._slot is not None and (around or self.info.id != CELL) else None
        end, forget = statements(f"{name}.end()"), self._forget(iterable)
        if slot is not None:
            # short loops run bare: what is around them comes by soon enough
            made.keywords.append(ast.keyword("slot", ast.Constant(slot)))
            made = ast.IfExp(expression(f"{BARE}[{slot}]"), ast.Constant(None), made)
            bare: ast.expr = copied(iterable)
            if not _is_constant(iterable):
                bare = ast.Call(expression(f"{BARE}[{slot}].over"), [copied(iterable)], [])
            over = ast.IfExp(expression(f"{name} is None"), bare, over)
            end = statements(f"if {name} is not None: {name}.end()")
        # an error of an iterator that begins stands where its `for` has it
        enter = ast.Assign([ast.Name(name, ast.Store())], located(made, iterable))
        loop: ast.stmt = ast.For(target, located(over, iterable), body, orelse, None)
        if around <= GOVERNED_INSIDE and not _never_governed(iterable):
            # a policy may govern this loop: the body's errors then go through the loop. A `with` and not an `except`,
            # because only the former leaves the frame's line where the error was
            inside: list[ast.stmt] = [ast.With([ast.withitem(expression(name))], copied(body))]
            governed = ast.For(copied(target), located(expression(f"{name}.run()"), iterable), inside, copied(orelse), None)
            loop = ast.If(expression(f"{name} is None or {name}.policy is None"), [loop], [governed])
        return placed([enter, loop, *forget, *end], node), [point]

    def _while(self, node: ast.While, chain: Chain) -> Made:
        point = self._point("while", chain, node, text=f"while {told(node.test)}")
        name = loop_name(point)
        re_entered = self._resume and any(map(self.has_point, node.body))
        body, orelse = self._arms(node.body, node.orelse, point, chain)
        again: ast.expr = node.test
        if re_entered:
            again = ast.BoolOp(ast.Or(), [expression(f"{RESUMER}.R"), node.test])
        made = self._loop(point, f"{self._asked}.TICKS")
        ticks, end, item = f"{name}.{'tests' if orelse else 'ticks'}()", f"{name}.end()", "True" if orelse else "()"
        if self._slot is not None and (chain or self.info.id != CELL):
            slot = self._slot()
            assert isinstance(made, ast.Call)
            made.keywords.append(ast.keyword("slot", ast.Constant(slot)))
            made = ast.IfExp(expression(f"{BARE}[{slot}]"), ast.Constant(None), made)
            ticks, end = f"({BARE}[{slot}].ticks({item}) if {name} is None else {ticks})", f"if {name} is not None: {end}"
        enter = ast.Assign([ast.Name(name, ast.Store())], made)
        loop: ast.stmt
        if orelse:
            # `else` follows where the test fails, and only there
            test = ast.BoolOp(ast.And(), [expression(f"{name}n()"), again])
            head = [enter, *statements(f"{name}n = {ticks}.__next__")]
            loop = ast.While(test, body, orelse)
        else:
            # a `for` asks its iterator faster than a call can
            head = [enter]
            leave = ast.If(ast.UnaryOp(ast.Not(), again), [ast.Break()], [])
            loop = ast.For(ast.Tuple([], ast.Store()), expression(ticks), [leave, *body], [], None)
        return placed([*head, loop, *statements(end)], node), [point]

    def _if(self, node: ast.If, chain: Chain) -> Made:
        point = self._point("if", chain, node)
        body, orelse = self._arms(node.body, node.orelse, point, chain)
        test = node.test
        if self._resume:
            test = ast.IfExp(expression(f"{RESUMER}.on({point})"), expression(f"{RESUMER}.br({point})"), node.test)
        return placed([ast.If(test, body, orelse)], node), [point]

    def _with(self, node: ast.With, chain: Chain) -> Made:
        point = self._point("with", chain, node)
        items = []
        for number, item in enumerate(node.items):
            manager = item.context_expr
            if self._resume:
                back = expression(f"{RESUMER}.manager({point}, {number})")
                made = ast.Call(expression(f"{RESUMER}.anew"), [ast.Constant(point), ast.Constant(number), manager], [])
                manager = ast.IfExp(expression(f"{RESUMER}.ctx({point}, {number})"), back, made)
            kept = ast.NamedExpr(ast.Name(context_name(point, number), ast.Store()), manager)
            items.append(ast.withitem(kept, item.optional_vars))
        body, _ = self._arms(node.body, [], point, chain)
        # `as` has bound what entering gave; the frame may have bound its name anew since
        bound = {n.id for i in node.items if i.optional_vars for n in ast.walk(i.optional_vars) if isinstance(n, ast.Name)}
        if self._resume and bound:
            again = [s for name in sorted(bound) for s in restored(name)]
            again += statements(f"{RESUMER}.shared_again({sorted(bound)})")
            if self.info.id == CELL:
                again = statements(f"{RESUMER}.names_again()")
            body = [ast.If(expression(f"{RESUMER}.R"), again, []), *body]
        return placed([ast.With(items, body, None)], node), [point]

    def _try(self, node: ast.Try, chain: Chain) -> Made:
        point = self._point("try", chain, node)
        body, orelse = self._arms(node.body, node.orelse, point, chain)
        handlers, final = node.handlers, node.finalbody
        if self._resume:
            if node.orelse:
                # a resume inside the else arm goes past the body, which had ended well
                test = expression(f"not {RESUMER}.on({point}) or {RESUMER}.br({point})")
                body = [located(ast.If(test, body, []), node)]
            # a way that could not be found is no error of the user's code
            for handler in handlers:
                handler.body = [located(ast.If(expression(f"{RESUMER}.lost"), statements("raise"), []), handler), *handler.body]
            if final:
                final = [located(ast.If(expression(f"not {RESUMER}.lost"), final, []), final[0])]
        return placed([ast.Try(body, handlers, orelse, final)], node), [point]

    def _match(self, node: ast.Match, chain: Chain) -> Made:
        point = self._point("match", chain, node)
        for number, case in enumerate(node.cases):
            case.body = self._block(case.body, (*chain, (point, f"case {number}")))
        if not self._resume:
            return [node], [point]
        # the arm taken before is taken again, with no pattern looked at
        again: list[ast.stmt] = []
        for number in range(len(node.cases) - 1, -1, -1):
            test = expression(f"{RESUMER}.arm({point}) == 'case {number}'")
            again = [ast.If(test, copied(node.cases[number].body), again)]
        return placed([ast.If(expression(f"{RESUMER}.on({point})"), again, [node])], node), [point]

    def _simple(self, node: ast.stmt, chain: Chain, source: ast.stmt) -> Made:
        def new_point(kind: PointKind, candidate: ast.expr, text: str) -> int:
            number = self._point(kind, chain, source, text=text)
            places = self.info.calls if kind == "call" else self.info.yields
            places[candidate.end_lineno or 0, candidate.end_col_offset or 0] = number
            return number

        rewriter = StatementRewriter(self._known, self._asked, PREFIX, new_point, resume=self._resume)
        new, points = rewriter.rewrite(node)
        for number in points:
            self.info.points[number] = rewriter.details(number, self.info.points[number])
        return placed(new, node), points

    def _arms(
        self, body: list[ast.stmt], orelse: list[ast.stmt], point: int, chain: Chain
    ) -> tuple[list[ast.stmt], list[ast.stmt]]:
        def inside(arm: Arm) -> Chain:
            return (*chain, (point, arm))

        return self._block(body, inside("body")), self._block(orelse, inside("orelse")) if orelse else []

    @staticmethod
    def _forget(iterable: ast.expr) -> list[ast.stmt]:
        if isinstance(iterable, ast.Name) and iterable.id.startswith(f"{PREFIX}i"):
            return statements(f"{iterable.id} = None")
        return []


def restored(name: str, *, given: bool = False) -> list[ast.stmt]:
    """Set the variable `name` of a function from what the snapshot held; `given`: it is bound already, to nothing."""
    otherwise = f"\nelse: del {name}" if given else ""
    return statements(f"if {name!r} in {RESUMER}.values: {name} = {RESUMER}.values[{name!r}]{otherwise}")


def take_last_expression(tree: ast.Module) -> bool:
    """Turn a cell's last expression into an assignment to `VALUE`; say whether there was one."""
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        return False
    last = tree.body[-1]
    tree.body[-1] = ast.copy_location(ast.Assign([ast.Name(VALUE, ast.Store())], last.value), last)
    ast.fix_missing_locations(tree)
    return True


def _is_constant(iterable: ast.expr) -> bool:
    """Whether a loop over `iterable` has the same number of iterations every time."""
    if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name) and iterable.func.id == "range":
        return all(isinstance(argument, ast.Constant) for argument in iterable.args)
    return isinstance(iterable, (ast.Tuple, ast.List, ast.Constant)) and not any(
        isinstance(part, ast.Starred) for part in ast.walk(iterable)
    )


def _as_python_folds(iterable: ast.expr) -> ast.expr:
    """A set of constants that a `for` goes over is a frozenset to Python, which iterates in an order of its own."""
    if not isinstance(iterable, ast.Set) or not all(isinstance(item, ast.Constant) for item in iterable.elts):
        return iterable
    values = frozenset(item.value for item in iterable.elts if isinstance(item, ast.Constant))
    return ast.copy_location(ast.Constant(values), iterable)  # type: ignore[arg-type]


def _never_governed(iterable: ast.expr) -> bool:
    """Whether `iterable` is surely none that a policy could be for: it, and what is handed on by `enumerate` and its like."""
    if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name):
        if iterable.func.id in ("enumerate", "zip", "reversed", "map", "filter"):
            return all(map(_never_governed, iterable.args))
        return iterable.func.id in ("range", "sorted")
    return not isinstance(iterable, (ast.Name, ast.Attribute, ast.Call, ast.Starred))
