"""What can be said before a guarded cell touches the disk."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from colab_guard.errors import BadCell

TIME = re.compile(r"\A(\s*)%%time[ \t]*(?=\n)")
"""A cell that begins with the magic which times it."""


def untimed(source: str) -> tuple[str, bool]:
    """The cell with a comment in the place of `%%time` in its first line; and whether it had that."""
    bare, count = TIME.subn(r"\1#", source, count=1)
    return bare, bool(count)


def check_cell(shell: Any, source: str) -> None:
    """Raise `BadCell` for an empty cell, or one that does not parse. Runs nothing and writes nothing."""
    if not source.strip():
        raise BadCell("%%checkpointed has no code under it; type the training code in the same cell, below that line")
    text = source
    try:
        text = shell.transform_cell(source) if shell is not None else source
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are said when the cell is run
            compile(text, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        line = (error.text or "".join(text.splitlines()[(error.lineno or 0) - 1 : error.lineno])).strip()
        raise BadCell(
            f"the cell does not parse, line {error.lineno} under %%checkpointed: {error.msg}: {line} (nothing was run or changed)"
        ) from None
