"""Names that the next model binds anew: the last one's model need not be there while the next one is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from colab_guard.memory.reclaim.figures import MIB
from colab_guard.memory.reclaim.heavy import held, reaches_heavy

LEAST_BYTES = 64 * MIB
"""Less is not worth a name that a look at the notebook, or an error in the next run, would miss."""


def forget(namespace: dict[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    """Take those of `names` out of `namespace` that hold tensors or large arrays, if they hold 64 MiB together.

    Which names nobody reads before they are bound again is the caller's to know.
    """
    heavy = [name for name in sorted(names) if name in namespace and reaches_heavy(namespace[name])]
    if not heavy or held((namespace[name] for name in heavy), {id(namespace)}) < LEAST_BYTES:
        return ()
    for name in heavy:
        del namespace[name]
    return tuple(heavy)
