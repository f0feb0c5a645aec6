"""The code of earlier cells that made a name's value what it is.

A recipe is the statements that bind or change a name, and those that made what these read, down to the imports. A value
that differs from the committed one though its recipe is the same was not changed by a person: a clock was read, a draw was
not seeded, a file has grown.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache

from colab_guard import state
from colab_guard.cells.liveness import reads
from colab_guard.cells.reads import bound_names
from colab_guard.cells.syntax import SCOPES

MOST_STATEMENTS = 2000


class Recipes:
    """The statements of the cells run so far in this kernel, in order, and what each binds, changes and reads."""

    def __init__(self, cells: Iterable[str]) -> None:
        self._steps: list[_Step] = []
        for source in cells:
            self._steps += _steps(source)
        del self._steps[:-MOST_STATEMENTS]

    def of(self, name: str, *, calls: bool = True) -> str | None:
        """A hash of the code that made `name` what it is; None where no cell shows it.

        `calls`: whether methods called on a value (`names.append(...)`) count among what made it.
        """
        used: set[int] = set()
        self._collect(name, len(self._steps), calls, used)
        if not used:
            return None
        text = "\n".join(self._steps[number].text for number in sorted(used))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()

    def _collect(self, name: str, before: int, calls: bool, used: set[int]) -> None:
        todo = [(name, before)]
        seen: set[tuple[str, int]] = set()
        while todo:
            wanted, end = todo.pop()
            for number in range(end - 1, -1, -1):
                step = self._steps[number]
                if wanted not in step.binds and wanted not in step.changes and not (calls and wanted in step.calls):
                    continue
                used.add(number)
                todo += [item for other in step.reads if (item := (other, number)) not in seen]
                seen.update((other, number) for other in step.reads)
                if wanted in step.binds and wanted not in step.reads and step.surely:
                    break


class _Step:
    """One statement: `surely` when it binds its names whenever it runs."""

    def __init__(self, statement: ast.stmt) -> None:
        self.text = state.canonical(statement)
        self.binds = frozenset(bound_names(statement))
        self.changes = frozenset(_changed(statement))
        self.calls = frozenset(_called_on(statement))
        self.reads = reads(statement)
        self.surely = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, *SCOPES, ast.With))


@lru_cache(maxsize=1024)
def _steps(source: str) -> tuple[_Step, ...]:
    return tuple(_Step(statement) for statement in _statements(source))


def _statements(source: str) -> list[ast.stmt]:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return []
    found: list[ast.stmt] = []
    for statement in body:
        inner = _cell_magics_body(statement)
        found += [statement] if inner is None else _statements(inner)
    return found


def _cell_magics_body(statement: ast.stmt) -> str | None:
    """The code under a cell magic (`%%checkpointed`, `%%time`): the transform makes it a text."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "run_cell_magic":
        last = call.args[-1] if call.args else None
        if isinstance(last, ast.Constant) and isinstance(last.value, str):
            return last.value
    return None


def _base(node: ast.AST) -> str | None:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _changed(statement: ast.stmt) -> Iterator[str]:
    """Names whose values `statement` changes by an attribute, an item or `+=`."""
    for node in ast.walk(statement):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            base = _base(node)
            if base is not None:
                yield base


def _called_on(statement: ast.stmt) -> Iterator[str]:
    """Names on which `statement` calls a method for its effect."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            base = _base(node.value.func)
            if base is not None:
                yield base
