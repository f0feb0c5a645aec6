"""What can be said before a guarded cell touches the disk, and what a host's rules are."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, Any

from colab_guard.errors import BadCell

if TYPE_CHECKING:
    from colab_guard.hosts import Host


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


def doctor(host: Host, host_words: str) -> str:
    """This host's rules in words."""
    limit = f" Hard end after {host.hard_limit_s / 3600:g} h." if host.hard_limit_s else ""
    return f"{host_words}{limit} What survives all of them: %%checkpointed NAME --to WHERE"
