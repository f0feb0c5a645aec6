"""Reducers for iterators, matches and layouts that their libraries do not pickle."""

from __future__ import annotations

import collections
import gc
import itertools
import re
import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from colab_guard.errors import CannotResume
from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

ABSENT: Any = object()
GROUP: Any = type(next(itertools.groupby("a"))[1])


def reduce_pairwise(pickler: GraphPickler, pairs: Any) -> Any:
    """What it goes over, with the item put back that it holds as the next pair's first."""
    held = _held(pairs)
    if len(held) > len(_held(itertools.pairwise(()))):
        return rebuild_pairwise, (held[0], (held[1],))
    return rebuild_pairwise, (held[0], ())


def rebuild_pairwise(over: Iterator[Any], first: Iterable[Any]) -> Any:
    return itertools.pairwise(itertools.chain(first, over) if first else over)


def reduce_groupby(pickler: GraphPickler, groups: Any) -> Any:
    """What it goes over, its key function, and the keys and the item that it holds.

    Python's own way forgets the key of a group whose last item was handed out, and would give that group again.
    """
    over, function, *held = _held(groups)
    return rebuild_groupby, (over, function, *held)


def rebuild_groupby(over: Any, function: Any, target: Any = ABSENT, current: Any = ABSENT, item: Any = ABSENT) -> Any:
    groups: Any = itertools.groupby(over, function)
    if target is not ABSENT:
        groups.__setstate__((target if current is ABSENT else current, item, target))
        if current is ABSENT:
            next(GROUP(groups, target))  # the item was handed out
    return groups


def reduce_match(pickler: GraphPickler, match: re.Match[Any]) -> Any:
    """A match by what it was found in; it is looked for again, and must be there."""
    made = (match.re, match.string, match.pos, match.endpos, match.regs)
    if found_again(*made) is None:
        raise CannotKeep("it is not found again where it was found")
    return rebuild_match, made


def rebuild_match(pattern: Any, text: Any, pos: int, endpos: int, regs: Any) -> Any:
    found = found_again(pattern, text, pos, endpos, regs)
    if found is None:
        raise CannotResume(f"the snapshot holds a match of {pattern.pattern!r} that is not found again here")
    return found


def found_again(pattern: Any, text: Any, pos: int, endpos: int, regs: Any) -> Any:
    for look in (pattern.search, pattern.match, pattern.fullmatch):
        found = look(text, pos, endpos)
        if found is not None and found.regs == regs:
            return found
    return next((found for found in pattern.finditer(text, pos, endpos) if found.regs == regs), None)


def reduce_flat(pickler: GraphPickler, flat: Any) -> Any:
    return rebuild_flat, (flat.base, flat.index)


def rebuild_flat(array: Any, index: int) -> Any:
    flat = array.flat
    collections.deque(itertools.islice(flat, index), maxlen=0)
    return flat


def reduce_struct(pickler: GraphPickler, layout: struct.Struct) -> Any:
    return struct.Struct, (layout.format,)


def _held(thing: Any) -> list[Any]:
    return [part for part in gc.get_referents(thing) if part is not type(thing)]
