"""The addresses of many objects at once.

CPython keeps a tuple's items as one row of pointers at the end of the object, and an object's `id` is its address. Two
tuples of thousands of objects are so compared item by item in microseconds, without making an integer of each address.
Where Python is built in another way the addresses are asked for one by one: slower, with the same result.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Sequence
from ctypes import string_at
from typing import Any

_POINTER = struct.calcsize("P")
_ITEMS = tuple.__basicsize__
Getter = Callable[[Any], tuple[Any, ...]]


def _one_by_one(things: tuple[object, ...]) -> bytes:
    return struct.pack(f"{len(things)}P", *map(id, things))


def _at_once(things: tuple[object, ...]) -> bytes:
    return string_at(id(things) + _ITEMS, _POINTER * len(things))


def _lies_in_a_row() -> bool:
    probe = (object(), None, "", object, probe_list := [1], probe_list)
    return tuple.__itemsize__ == _POINTER and _at_once(probe) == _one_by_one(probe)


addresses_of = _at_once if _lies_in_a_row() else _one_by_one
"""The addresses of the things in a tuple, one after the other, as they lie in memory."""


def is_among(thing: object, things: tuple[object, ...]) -> bool:
    """Whether `thing` itself is one of them."""
    row, address = addresses_of(things), struct.pack("P", id(thing))
    at = row.find(address)
    while at % _POINTER and at >= 0:
        at = row.find(address, at + 1)
    return at >= 0


def getter(places: Sequence[Any]) -> Getter:
    """What gives the items in these places (of a sequence, or by these keys), all at once."""
    if len(places) > 1:
        return operator.itemgetter(*places)
    return lambda things: tuple(things[place] for place in places)
