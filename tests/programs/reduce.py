"""Makes a failing program small: statements are left out, blocks put in place of what holds them, expressions simplified."""

from __future__ import annotations

import ast
import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.programs.grammar import Program

LISTS = ("body", "orelse", "finalbody", "handlers", "cases")


def reduced(program: Program, fails: Callable[[Program], bool], limit_s: float = 60.0) -> Program:
    """The smallest program found for which `fails` still holds."""
    until = time.monotonic() + limit_s
    trees = {"cell": ast.parse(program.cell), "setup": ast.parse(program.setup)}

    def text(trees: dict[str, ast.Module]) -> Program:
        return Program(ast.unparse(trees["setup"]) + "\n", ast.unparse(trees["cell"]) + "\n")

    if not fails(text(trees)):
        return program
    changed = True
    while changed and time.monotonic() < until:
        changed = False
        for part in trees:
            number = 0
            while time.monotonic() < until:
                tried = copy.deepcopy(trees)
                changes = _changes(tried[part])
                change = next((c for k, c in enumerate(changes) if k == number), None)
                if change is None:
                    break
                change()
                try:
                    candidate = text(tried)
                    again = {"cell": ast.parse(candidate.cell), "setup": ast.parse(candidate.setup)}
                    compile(candidate.cell, "cell", "exec"), compile(candidate.setup, "setup", "exec")
                except (SyntaxError, ValueError, AttributeError):
                    number += 1
                    continue
                if len(str(candidate)) < len(str(text(trees))) and candidate.cell.strip() and fails(candidate):
                    trees, changed = again, True
                else:
                    number += 1
    return text(trees)


def _changes(tree: ast.Module) -> Iterator[Callable[[], None]]:
    """Ways to make `tree` smaller, the larger ones first."""
    owners = [(node, name) for node in ast.walk(tree) for name in LISTS if isinstance(getattr(node, name, None), list)]
    for owner, name in owners:
        parts: list[Any] = getattr(owner, name)
        for number in reversed(range(len(parts))):
            yield lambda parts=parts, number=number: parts.pop(number)
            for inner in LISTS[:3]:
                below = getattr(parts[number], inner, None)
                if isinstance(below, list) and below:
                    yield lambda parts=parts, number=number, below=below: parts.__setitem__(slice(number, number + 1), below)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.decorator_list:
            yield lambda node=node: node.decorator_list.clear()
        for field, value in ast.iter_fields(node):
            if isinstance(value, ast.expr) and isinstance(getattr(value, "ctx", ast.Load()), ast.Load):
                for smaller in _smaller(value):
                    yield lambda node=node, field=field, smaller=smaller: setattr(node, field, smaller)
            elif isinstance(value, list):
                for number, part in enumerate(value):
                    if isinstance(part, ast.expr) and isinstance(getattr(part, "ctx", ast.Load()), ast.Load):
                        yield lambda value=value, number=number: value.pop(number)
                        for smaller in _smaller(part):
                            yield lambda value=value, number=number, smaller=smaller: value.__setitem__(number, smaller)


def _smaller(node: ast.expr) -> Iterator[ast.expr]:
    if not isinstance(node, ast.Constant):
        yield ast.Constant(1)
    yield from (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))
