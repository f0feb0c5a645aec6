"""Pythons to run cells on, and what each has installed."""

from __future__ import annotations

import functools
import subprocess

from tests.matrix.cellfile import Cell
from tests.matrix.trial import Trial

PROBE = "import sys, importlib.util as u; print('%d.%d' % sys.version_info[:2], *(u.find_spec(n) is not None for n in sys.argv[1:]))"


@functools.cache
def _probe(python: str, modules: tuple[str, ...]) -> tuple[str, ...]:
    asked = subprocess.run([python, "-c", PROBE, *modules], capture_output=True, text=True, timeout=60, check=True)
    return tuple(asked.stdout.split())


def passed_over(cell: Cell, stack: str, python: str) -> Trial | None:
    """The trial to show instead, where the stack is not for this cell."""
    version, *there = _probe(python, cell.needs)
    missing = [module for module, found in zip(cell.needs, there, strict=True) if found != "True"]
    if missing:
        return Trial(cell.name, stack, "passed over", notes=[f"no {', '.join(missing)} there"])
    if cell.stacks and not any(stack.startswith(word) or version.startswith(word) for word in cell.stacks):
        return Trial(cell.name, stack, "passed over", notes=[f"only for {', '.join(cell.stacks)}"])
    return None
