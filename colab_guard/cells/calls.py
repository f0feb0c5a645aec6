"""Which calls may lead to a safe point: those of functions that have loops, or that call such functions.

Names decide, since what a name will mean is not known before the code runs: a function counts by its name, whoever has
it, and what cannot be told by its name (a parameter, an item, another call's value) counts as well. Whether a running
frame can really be entered again through such a call is found out when a snapshot is taken.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from colab_guard.cells.syntax import FUNCTIONS, called_name, own_nodes

BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Callees:
    """`names`: functions and classes of the notebook that reach a loop; `library`: methods that are loops of libraries.

    `rebound`: variables that some function binds which does not own them (`global`, `nonlocal`).
    """

    names: frozenset[str]
    library: frozenset[str]
    rebound: frozenset[str] = frozenset()

    def may_lead(self, call: ast.Call) -> bool:
        """Whether the call may lead to a safe point."""
        called = call.func
        if isinstance(called, ast.Name):
            return called.id in self.names or called.id not in BUILTINS
        if isinstance(called, ast.Attribute):
            return called.attr in self.names or called.attr in self.library or "__call__" in self.names
        return not isinstance(called, ast.Lambda)

    def leads(self, call: ast.Call) -> bool:
        """Whether the call is by the name of what is known to lead to one."""
        called = call.func
        if isinstance(called, ast.Name):
            return (called.id in self.names or called.id in self.library) and called.id not in BUILTINS
        return isinstance(called, ast.Attribute) and (called.attr in self.names or called.attr in self.library)


NOTHING = Callees(frozenset(), frozenset())
"""What code of libraries leads to."""


def callees(trees: Iterable[ast.AST], library: Iterable[str]) -> Callees:
    """Those of all functions and classes defined anywhere in `trees`."""
    calls: dict[str, set[str]] = {}
    found = set()
    rebound: set[str] = set()
    for node in (part for tree in trees for part in ast.walk(tree)):
        if isinstance(node, FUNCTIONS):
            called = calls.setdefault(node.name, set())
            parts = list(own_nodes(node.body))
            called |= {name for part in parts if isinstance(part, ast.Call) and (name := called_name(part))}
            if any(isinstance(part, (ast.For, ast.While)) for part in parts) or called & frozenset(library):
                found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            made_by = calls.setdefault(node.name, set())
            made_by |= {base.id for base in node.bases if isinstance(base, ast.Name)}
            if any(isinstance(part, FUNCTIONS) and part.name == "__init__" for part in node.body):
                made_by.add("__init__")
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            rebound.update(node.names)
    return Callees(frozenset(_closed(found, calls)), frozenset(library), frozenset(rebound))


def _closed(found: set[str], calls: Mapping[str, set[str]]) -> set[str]:
    while True:
        more = {name for name, called in calls.items() if name not in found and called & found}
        if not more:
            return found
        found |= more
