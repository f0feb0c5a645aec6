"""Small tools for trees: nodes from source, positions, names bound in a scope."""

from __future__ import annotations

import ast
import pickle
import warnings
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import TypeVar

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef)
Node = TypeVar("Node", ast.stmt, ast.expr)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def expression(source: str) -> ast.expr:
    return _bare(ast.parse(source, mode="eval")).body  # type: ignore[attr-defined,no-any-return]


def statements(source: str) -> list[ast.stmt]:
    return _bare(ast.parse(source)).body  # type: ignore[attr-defined,no-any-return]


def _bare(node: ast.AST) -> ast.AST:
    """`node` without positions, to be given those of the user's code."""
    for part in ast.walk(node):
        for attribute in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
            part.__dict__.pop(attribute, None)
    return node


Tree = TypeVar("Tree", ast.Module, ast.expr, ast.stmt, list[ast.stmt], FunctionNode)


def copied(tree: Tree) -> Tree:
    """A deep copy; by pickling, since `copy.deepcopy` takes several times as long, most of the time that a cell is prepared."""
    found: Tree = pickle.loads(pickle.dumps(tree, 5))
    return found


def compiled(tree: ast.Module | str, filename: str, flags: int = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT) -> CodeType:
    """Code of a cell; what the compiler warns of is said where the shell compiles it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code: CodeType = compile(tree, filename, "exec", flags=flags, dont_inherit=True)
    return code


def located(node: Node, source: ast.AST) -> Node:
    """Give `node`, and all below it that has none yet, the position of `source`."""
    if "lineno" not in node.__dict__:
        ast.copy_location(node, source)
    for child in ast.walk(node):
        if "lineno" in getattr(child, "_attributes", ()) and "lineno" not in child.__dict__:
            ast.copy_location(child, source)
    return node


def placed(nodes: Sequence[ast.stmt], source: ast.AST) -> list[ast.stmt]:
    return [located(node, source) for node in nodes]


def called_name(call: ast.Call) -> str | None:
    """The last part of what is called: `fit` of `model.fit()`; None where it has no name."""
    if isinstance(call.func, ast.Name):
        return call.func.id
    return call.func.attr if isinstance(call.func, ast.Attribute) else None


def own_expressions(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below `node` that run in its own frame, once: not in lambdas, comprehensions or definitions."""
    if isinstance(node, SCOPES + COMPREHENSIONS):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from own_expressions(child)


def own_nodes(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All nodes of a function's body that belong to its own scope; definitions inside it are given, not entered."""
    for node in body:
        yield node
        if not isinstance(node, SCOPES):
            yield from own_nodes(list(ast.iter_child_nodes(node)))


def first_parameter(node: FunctionNode) -> str | None:
    return next((argument.arg for argument in [*node.args.posonlyargs, *node.args.args]), None)


def is_generator(node: FunctionNode) -> bool:
    return any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in own_nodes(node.body))


def parameters(node: FunctionNode) -> frozenset[str]:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return frozenset(argument.arg for argument in every if argument is not None)


def local_names(node: FunctionNode) -> frozenset[str]:
    """Names that are local to the function `node`: parameters, and what its own body binds."""
    found = set(parameters(node))
    for part in own_nodes(node.body):
        found.update(bound_by(part))
    for comprehension in (p for p in own_nodes(node.body) if isinstance(p, COMPREHENSIONS)):
        found -= _only_in(comprehension, node)
    return frozenset(found - declared_elsewhere(node))


def declared_elsewhere(node: FunctionNode) -> frozenset[str]:
    """Names that the function says are `global` or `nonlocal`."""
    declared = [part.names for part in own_nodes(node.body) if isinstance(part, (ast.Global, ast.Nonlocal))]
    return frozenset(name for names in declared for name in names)


def bound_by(node: ast.AST) -> Iterator[str]:
    """Names that `node` itself binds or deletes."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield node.id
    elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def _only_in(comprehension: ast.AST, function: FunctionNode) -> set[str]:
    """Targets of a comprehension that nothing else in the function binds."""
    inside = {id(n) for n in ast.walk(comprehension)}
    walrus = {id(n.target) for n in ast.walk(comprehension) if isinstance(n, ast.NamedExpr)}
    targets = {n.id for n in ast.walk(comprehension) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and id(n) not in walrus}
    outside = {n for part in own_nodes(function.body) if id(part) not in inside for n in bound_by(part)}
    parameters = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
    return targets - outside - parameters - {n.target.id for n in ast.walk(comprehension) if isinstance(n, ast.NamedExpr)}
