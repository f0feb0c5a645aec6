"""Variables that the options of a guarded cell name: they must be there, or be made by the cell."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from colab_guard import cells
from colab_guard.errors import BadOption
from colab_guard.session.options import CheckpointOptions

BINDERS = frozenset({"exec", "globals", "get_ipython"})
"""What may make variables without naming them in the cell; the transforms turn magics into `get_ipython()`."""


def check(options: CheckpointOptions, transformed: str, names: Mapping[str, Any]) -> None:
    """Raise BadOption for the first name of --keep or --skip that is not among `names`, and that the cell does not make.

    `transformed` is the cell's source in plain Python. What a magic, a script or text that is run makes is not known before.
    """
    tree = ast.parse(transformed)
    if any(isinstance(node, ast.Name) and node.id in BINDERS for node in ast.walk(tree)):
        return
    made = cells.names_bound(tree.body)
    for option, named in (("--keep", options.keep), ("--skip", options.skip)):
        for name in named:
            if name not in names and name not in made:
                raise BadOption(
                    f"{option} {name}: there is no variable of that name, and the cell makes none; check its spelling, or run "
                    "the cell that makes it"
                )
