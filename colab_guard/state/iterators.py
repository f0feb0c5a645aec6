"""Reducers for iterators of the standard library that Python itself does not pickle."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler


def reduce_pairwise(pickler: GraphPickler, pairs: Any) -> Any:
    """What it goes over, with the item put back that it holds as the next pair's first."""
    held = _held(pairs)
    if len(held) > len(_held(itertools.pairwise(()))):
        return rebuild_pairwise, (held[0], (held[1],))
    return rebuild_pairwise, (held[0], ())


def rebuild_pairwise(over: Iterator[Any], first: Iterable[Any]) -> Any:
    return itertools.pairwise(itertools.chain(first, over) if first else over)


def _held(thing: Any) -> list[Any]:
    return [part for part in gc.get_referents(thing) if part is not type(thing)]
