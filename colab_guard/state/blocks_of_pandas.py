"""Blocks of pandas' tables, where pandas copies on write (from 3.0 on, in 2.x if it is asked to).

There two tables may lie in the same memory, and the first that is written to gets memory of its own. Who shares with whom
pandas notes in objects that nothing can capture; brought back without them, a write to one table would show in the other.
So a block that is shared is captured with values of its own, as the first write would give it: nothing that pandas shows
tells the difference.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colab_guard.state.pickler import Reducing


def reduce_block(pickler: Reducing, block: Any) -> Any:
    refs = getattr(block, "refs", None)
    if refs is None or not refs.has_reference() or not copies_on_write():
        return NotImplemented
    rebuild, (values, *rest) = block.__reduce__()[:2]
    return rebuild, (values.copy(), *rest)


def copies_on_write() -> bool:
    """Whether pandas, which is loaded, copies on write."""
    pandas: Any = sys.modules["pandas"]
    if int(pandas.__version__.partition(".")[0]) >= 3:
        return True
    return pandas.get_option("mode.copy_on_write") is True
