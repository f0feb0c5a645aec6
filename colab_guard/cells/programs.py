"""A text of the notebook (a cell, or a module's file) as code that can be resumed: its functions and their versions.

Every function has an id that holds across kernels: its qualified name and a hash of its tree, so that comments,
docstrings and the place in the notebook do not count. The whole text is compiled at once and code objects are picked by (qualified name,
first line), so that free variables, `super()` and decorators come right. The shell compiles every statement by itself,
which gives other instructions where the text imports a module and calls its functions: that code is known as well.

A function's resume version has its parameters for the sake of tracebacks alone, and sets them itself like all its variables;
its resumer is a free variable of it. Variables that it shares with inner functions are free variables there, bound to the
restored cells: a frame's own cells can't be exchanged.
"""

from __future__ import annotations
import __future__

import ast
import functools
import hashlib
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from colab_guard.cells.calls import Callees
from colab_guard.cells.liveness import Liveness
from colab_guard.cells.plainer import plainer
from colab_guard.cells.points import CELL, FrameInfo
from colab_guard.cells.rewrite import CELLS, RESUMER, Rewriter, restored, take_last_expression
from colab_guard.cells.syntax import (
    FUNCTIONS,
    FunctionNode,
    called_name,
    compiled,
    copied,
    first_parameter,
    is_generator,
    local_names,
    located,
    own_nodes,
    placed,
    statements,
)

FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
FUTURE = functools.reduce(operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names))
"""`from __future__ import ...` holds for all later cells of a notebook."""
OUTER = "_cg_outer"
INNER = "_cg_inner"
Place = tuple[str, int]


@dataclass(slots=True)
class Function:
    """One function of a program. `original` and `running` are its code as the user wrote it, and with its loops seen.

    `whole` is what `original` is where the text was compiled as a whole (a module's file, a cell under a magic).
    """

    id: str
    place: Place
    generator: bool
    info: FrameInfo

    original: CodeType | None = None
    whole: CodeType | None = None
    running: CodeType | None = None
    variant: CodeType | None = None

    @property
    def works(self) -> bool:
        """Whether it is a generator that does more between two items than give them: instrumented like a function."""
        return self.generator and not self.info.passive

    def is_made_from(self, code: CodeType) -> bool:
        """Whether `code` is this function as the user wrote it."""
        return code in (self.original, self.whole)


@dataclass(slots=True)
class Program:
    """One text and its functions. `cell`: whether its top level is the guarded cell itself."""

    tree: ast.Module
    filename: str
    known: Callees
    new_slot: Callable[[], int]
    cell: FrameInfo | None = None
    future: int = 0
    functions: dict[str, Function] = field(default_factory=dict)
    original: CodeType | None = None
    running: CodeType | None = None
    plain: ast.Module = field(init=False)
    """`tree` in plainer statements, from which both versions are made."""

    def __post_init__(self) -> None:
        self._list_functions(self.tree, "")
        self.plain = plainer(self.tree, self.known)
        self._list_variables()
        self.original = self._compiled(copied(self.tree))
        self._pick(self.original, "whole")
        self._pick(self.original, "original")
        for statement in self.tree.body:
            if any(isinstance(part, FUNCTIONS) for part in ast.walk(statement)):
                self._pick(self._compiled(ast.Module([copied(statement)], [])), "original")
        for function in self.functions.values():
            if function.original is not None:
                free = {*function.original.co_cellvars, *function.original.co_freevars}
                function.info.cells = tuple(sorted(free))
                function.info.locals = tuple(sorted(set(function.info.locals) - free))
        running = self._compile(None)
        self._pick(running, "running")
        self.running = self._adopted(running)
        self._pick(self.running, "running")

    def resume_code(self) -> CodeType:
        """The cell's own resume version."""
        return self._adopted(self._compile(CELL))

    def variant(self, function: Function) -> CodeType:
        """The resume version of `function`."""
        if function.variant is None:
            outer = next(code for code in _nested(self._compile(function.id)) if code.co_name == OUTER)
            code = next(c for c in outer.co_consts if isinstance(c, CodeType))
            adopted = self._adopted(code)
            function.variant = _called(adopted, adopted.co_qualname, function.place[0]).replace(co_name=function.info.name)
        return function.variant

    def nodes(self) -> Iterator[tuple[Function, FunctionNode]]:
        """Every function with its tree in plainer statements, in the order of the source."""
        yield from zip(self.functions.values(), _functions_of(self.plain), strict=True)

    # learning

    def _list_functions(self, node: ast.AST, path: str) -> None:
        for child in ast.iter_child_nodes(node):
            inside = path
            if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
                inside = f"{path}{child.name}." + ("<locals>." if isinstance(child, FUNCTIONS) else "")
            elif isinstance(child, ast.Lambda):
                inside = f"{path}<lambda>.<locals>."
            if isinstance(child, FUNCTIONS):
                self._add(child, f"{path}{child.name}")
            self._list_functions(child, inside)

    def _add(self, node: FunctionNode, qualname: str) -> None:
        digest = hashlib.sha256(_said(node).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        base = name = f"{qualname}#{digest}"
        same = 1
        while name in self.functions:
            same += 1
            name = f"{base}#{same}"
        line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        info = FrameInfo(name, node.name, first=first_parameter(node) or "")
        self.functions[name] = Function(name, (qualname, line), is_generator(node), info)

    def _list_variables(self) -> None:
        for node, function in zip(_functions_of(self.plain), self.functions.values(), strict=True):
            qualname = function.place[0]
            private = qualname.split(".")[-2].lstrip("_") if "." in qualname else ""
            function.info.locals = tuple(sorted({_mangled(own, private) for own in local_names(node)}))
            function.info.passive = function.generator and not (isinstance(node, ast.FunctionDef) and _works(node, self.known))

    def _pick(self, code: CodeType, version: str) -> None:
        by_place = {function.place: function for function in self.functions.values()}
        for nested in _nested(code):
            function = by_place.get((nested.co_qualname, nested.co_firstlineno))
            if function is not None:
                setattr(function, version, nested)

    # compiling

    def _compile(self, resume: str | None) -> CodeType:
        """The program with `resume` (a function's id, or the cell) in its resume version, all else running."""
        tree = copied(self.plain)
        found = iter(list(self.functions.values()))
        # functions are met in the order in which they were listed
        order = {id(node): next(found) for node in _functions_of(tree)}
        if self.cell is not None:
            take_last_expression(tree)
            live = Liveness(tree.body)
        _Versions(self, order, resume).visit(tree)
        if self.cell is not None:
            info = self.cell if resume is None else FrameInfo(CELL)
            slot = self.new_slot if resume is None else None
            rewriter = Rewriter(self.known, info, live, resume=resume == CELL, slot=slot)
            tree.body = rewriter.body(tree.body)
        return self._compiled(tree)

    def _compiled(self, tree: ast.Module) -> CodeType:
        flags = FLAGS | (self.future & FUTURE)
        return compiled(ast.fix_missing_locations(tree), self.filename, flags)

    def _adopted(self, code: CodeType) -> CodeType:
        """`code` with the running versions of the functions it defines, so that each has one code object only."""
        by_name = {(f.place[0].rpartition(".")[2], f.place[1]): f.running for f in self.functions.values()}

        def exchange(constant: object) -> object:
            if not isinstance(constant, CodeType):
                return constant
            return by_name.get((constant.co_name, constant.co_firstlineno)) or self._adopted(constant)

        return code.replace(co_consts=tuple(map(exchange, code.co_consts)))


def _called(code: CodeType, before: str, name: str) -> CodeType:
    """`code` with the qualified name `name` in place of `before`, and what it makes (lambdas, classes) called accordingly."""
    if not f"{code.co_qualname}.".startswith(f"{before}."):
        return code

    def renamed(constant: Any) -> Any:
        if isinstance(constant, CodeType):
            return _called(constant, before, name)
        # the body of a class is given its name as a text
        return name + constant[len(before) :] if isinstance(constant, str) and constant.startswith(f"{before}.") else constant

    return code.replace(co_qualname=name + code.co_qualname[len(before) :], co_consts=tuple(map(renamed, code.co_consts)))


def alone(tree: ast.Module, qualname: str) -> ast.Module:
    """`tree` with those of its functions and classes alone that lead to the function called `qualname`, or lie in it."""
    wanted = [part for part in qualname.split(".") if part != "<locals>"]

    def kept(body: list[ast.stmt], depth: int) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for node in body:
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                if node.name != wanted[depth]:
                    continue
                if isinstance(node, ast.ClassDef) and depth + 1 < len(wanted):
                    node.body = kept(node.body, depth + 1) or [ast.Pass()]
            for name in () if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else ("body", "orelse", "finalbody"):
                if getattr(node, name, None):
                    setattr(node, name, kept(getattr(node, name), depth) or [ast.Pass()])
            found.append(node)
        return found

    tree.body = kept(tree.body, 0)
    return ast.fix_missing_locations(tree)


class _Versions(ast.NodeTransformer):
    """Puts every function of a tree into its version."""

    def __init__(self, program: Program, order: dict[int, Function], resume: str | None) -> None:
        self._program = program
        self._order = order
        self._resume = resume

    def visit_FunctionDef(self, node: FunctionNode) -> ast.AST | list[ast.stmt]:
        function = self._order[id(node)]
        live = Liveness(node.body, first_parameter(node))
        twin = copied(node) if function.generator else node
        doc = 1 if ast.get_docstring(node, clean=False) is not None else 0
        self.generic_visit(node)
        if function.id == self._resume:
            return self._resumed(node, function, live)
        if isinstance(node, ast.AsyncFunctionDef) and function.generator:
            return node
        info = function.info if self._resume is None else FrameInfo(function.id)
        if function.generator and not function.works:
            # it runs as it is: where it waits, its loops' iterators lie open
            Rewriter(self._program.known, info, Liveness(twin.body, first_parameter(twin)), resume=False).body(twin.body)
            return node
        # what waits in a generator may go on in a later cell, which has slots of its own
        slot = None if function.generator else self._program.new_slot if self._resume is None else _some_slot
        body = Rewriter(self._program.known, info, live, resume=False, slot=slot).body(node.body[doc:])
        if info.points and function.info.cells:
            body = [*placed(statements(_cells(function.info)), node), *body]
        node.body = [*node.body[:doc], *body] or node.body
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def _resumed(self, node: FunctionNode, function: Function, live: Liveness) -> list[ast.stmt]:
        info = FrameInfo(function.id)
        body = Rewriter(self._program.known, info, live, resume=True).body(node.body)
        first = first_parameter(node)
        if first is not None:
            for statement in body:
                _ExplicitSuper(first).visit(statement)
        shared = [name for name in function.info.cells if name != "__class__"]
        own = [name for name in shared if function.original is not None and name in function.original.co_cellvars]
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
        given = [argument.arg for argument in every if argument is not None and argument.arg not in own]
        setting = [part for name in given for part in restored(name, given=True)]
        others = [name for name in (*function.info.locals, *_temporaries(info)) if name not in given]
        setting += [part for name in others for part in restored(name)]
        head = [*(statements(f"nonlocal {', '.join(own)}") if own else []), *setting]
        if function.info.cells:
            head += statements(_cells(function.info))
        body = [_WithoutAnnotations(own).visit(part) for part in body]
        body = [part for part in body if not (isinstance(part, ast.Nonlocal) and set(part.names) & set(own))]
        alone = ast.arguments([], [ast.arg(name) for name in given], None, [], [], None, [])
        kind = type(node)
        # under another name, which nothing in the body can mean
        inner = kind(INNER, alone, [*placed(head, node), *body], [], None, type_comment=None)
        parameters = ast.arguments([], [ast.arg(name) for name in (*own, RESUMER)], None, [], [], None, [])
        outer = ast.FunctionDef(OUTER, parameters, [inner], [], None, type_comment=None)
        if "type_params" in ast.FunctionDef._fields:
            for made in (inner, outer):
                made.__dict__["type_params"] = []
        # the function may speak of itself (a recursive one, a wrapper that counts): its name stays a variable out there
        itself = located(ast.Assign([ast.Name(node.name, ast.Store())], ast.Constant(None)), node)
        return [ast.fix_missing_locations(located(outer, node)), ast.fix_missing_locations(itself)]


class _WithoutAnnotations(ast.NodeTransformer):
    """A variable that is shared is nonlocal in a resume version, and may have no annotation there."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if not isinstance(node.target, ast.Name) or node.target.id not in self._names:
            return node
        made = ast.Pass() if node.value is None else ast.Assign([node.target], node.value)
        return ast.copy_location(made, node)

    def visit_FunctionDef(self, node: FunctionNode) -> ast.AST:
        return node

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef  # type: ignore[assignment]


class _ExplicitSuper(ast.NodeTransformer):
    """`super()` looks at a frame's first parameter, which a resume version has not."""

    def __init__(self, first: str) -> None:
        self._first = first

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args and not node.keywords:
            node.args = [ast.Name("__class__", ast.Load()), ast.Name(self._first, ast.Load())]
            ast.fix_missing_locations(node)
        return node

    def visit_FunctionDef(self, node: FunctionNode) -> ast.AST:
        return node

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef  # type: ignore[assignment]


def _some_slot() -> int:
    return 0


def _works(node: FunctionNode, known: Callees) -> bool:
    """Whether the generator has a loop that gives no item, or calls what leads to a loop; or goes over matches, whose place
    only an instrumented loop knows."""
    for part in own_nodes(node.body):
        if isinstance(part, ast.Call) and called_name(part) == "finditer":
            return True
        if isinstance(part, (ast.For, ast.While)):
            inside = list(own_nodes([*part.body, *part.orelse]))
            if not any(isinstance(below, (ast.Yield, ast.YieldFrom)) for below in inside):
                return True
        if isinstance(part, ast.Call) and known.leads(part):
            return True
    return False


def _mangled(name: str, inside: str) -> str:
    """A name as Python has it inside the class `inside`."""
    private = inside and inside != "<locals>" and name.startswith("__") and not name.endswith("__")
    return f"_{inside}{name}" if private else name


def _cells(info: FrameInfo) -> str:
    return f"{CELLS} = lambda: ({', '.join(info.cells)},)"


def _temporaries(info: FrameInfo) -> list[str]:
    return sorted({name for point in info.points.values() for name in (*point.temps, point.holder) if name})


def _said(node: FunctionNode) -> str:
    """What a function's code says, as text: docstrings, its own and those inside, say nothing."""
    documented = [
        part
        for part in ast.walk(node)
        if isinstance(part, (*FUNCTIONS, ast.ClassDef)) and ast.get_docstring(part, clean=False) is not None
    ]
    bodies = [part.body for part in documented]
    for part in documented:
        part.body = part.body[1:] or [ast.Pass()]
    try:
        return ast.dump(node)
    finally:
        for part, body in zip(documented, bodies, strict=True):
            part.body = body


def _functions_of(node: ast.AST) -> Iterator[FunctionNode]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            yield child
        yield from _functions_of(child)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)
