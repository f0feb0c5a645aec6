"""Where a built-in iterator is, read from the iterator itself: a number that grows by one with every item.

Only iterators that know it exactly are here: they end once and for all, and nothing else moves them than being asked
for an item. (`zip` is told by the last of its iterators: an item comes if, and only if, that one gave one.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Progress = Callable[[Any], int]
OVER = -(1 << 62)
"""Of an iterator that has ended; no item follows."""


def _left(iterator: Any) -> int:
    return -int(iterator.__length_hint__())


def _index(iterator: Any) -> int:
    reduced = iterator.__reduce__()
    return int(reduced[2]) if len(reduced) == 3 else OVER


def _count(iterator: Any) -> int:
    return int(iterator.__reduce__()[1][1])


def _of_last(iterator: Any) -> int:
    last = iterator.__reduce__()[1][-1]
    return KNOWN[type(last)](last)


class _Items:
    """Iterated by index."""

    def __getitem__(self, index: int) -> int:
        raise IndexError


_LEFT: tuple[Iterable[Any], ...] = (range(1), range(2**70), (), {}, {}.items(), {}.values(), set())
KNOWN: dict[type, Progress] = {
    **{type(iter(sample)): _left for sample in _LEFT},
    **dict.fromkeys((type(iter([])), type(iter(_Items()))), _index),
    enumerate: _count,
}


def progress_of(iterator: Any) -> Progress | None:
    """What tells where `iterator` is; None where nothing does exactly."""
    kind = type(iterator)
    if kind is not zip:
        return KNOWN.get(kind)
    inner: tuple[Any, ...] = iterator.__reduce__()[1]
    told = bool(inner) and type(inner[-1]) in KNOWN and len(inner) == len({id(part) for part in inner})
    return _of_last if told else None
