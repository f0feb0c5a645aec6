"""Whether containers were changed since, told by words that they have in memory.

CPython 3.11 and 3.12 give each dictionary a number that no other has ever had, and a new one when it changes (PEP 509).
It lies at a fixed place in the object, as do the count of references to an object, the number of a set's items, and an
OrderedDict's attributes and weak references. numpy reads such words of thousands of objects in the time that Python
takes to look at a few hundred.

Nothing is held by this: whoever asks has proved that the containers are alive. numpy gives the GIL up while it reads, so
that other threads may write meanwhile: words that are to stand for a content are read before it. (One change comes a
moment before its number: an attribute's old value is let go of in between, and its `__del__` may run.) What the words
mean is tried out before they are trusted; where that fails, or Python is another, or numpy is not there, there are no
words, and whoever asks has to look at the containers themselves.
"""

from __future__ import annotations

import functools
import struct
import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

WORD = 8
REFERENCES, VERSION, ITEMS_OF_SET = 0, 24, 24
"""Where in an object its references are counted, in a dictionary its version stands, in a set how many items it has."""
STEADY: dict[type, dict[int, int]] = {
    dict: {REFERENCES: 1},
    OrderedDict: {REFERENCES: 1, OrderedDict.__dictoffset__: 0, OrderedDict.__weakrefoffset__: 0},
    set: {REFERENCES: 1, ITEMS_OF_SET: 0, set.__weakrefoffset__: 0},
}
"""Words of empty containers by their places, as they are where one holder alone knows the container."""
TRIES = 300
"""More than the interpreter takes to replace an instruction by one that is made for what it meets."""
BEGIN, END = 4096, 2**56
"""Where programs have their memory."""
_KNOWN = sys.implementation.name == "cpython" and (3, 11) <= sys.version_info[:2] <= (3, 12) and struct.calcsize("P") == WORD


class Words:
    """One word of each of some objects, which must be alive when they are read. `expected` is what they are to be."""

    __slots__ = ("_memory", "_places", "expected")

    def __init__(self, memory: Any, places: Any, expected: bytes) -> None:
        self._memory, self._places, self.expected = memory, places, expected

    def now(self) -> bytes:
        found: bytes = self._memory.take(self._places).tobytes()
        return found

    def as_expected(self) -> bool:
        return self.now() == self.expected


def versions(dictionaries: Sequence[Any]) -> Words | None:
    """The versions of dictionaries and OrderedDicts, as they are now."""
    made = _words([(id(one), VERSION) for one in dictionaries])
    if made is not None:
        made.expected = made.now()
    return made


def steady(containers: Sequence[Any]) -> Words | None:
    """Words by which containers that are empty, and known to one holder, are so still; as they are when nobody else holds them."""
    places = [(id(thing), place) for thing in containers for place in STEADY[type(thing)]]
    return _words(places, [word for thing in containers for word in STEADY[type(thing)].values()])


def _words(places: Sequence[tuple[int, int]], expected: Sequence[int] = ()) -> Words | None:
    numpy = sys.modules.get("numpy") if _KNOWN else None
    memory = None if numpy is None else _tried(numpy)
    if numpy is None or memory is None:
        return None
    at = numpy.array([(address + place - BEGIN) // WORD for address, place in places], numpy.intp)
    return Words(memory, at, struct.pack(f"{len(expected)}Q", *expected))


class _All:
    """For numpy: all the memory there may be. It is never printed, compared or copied as a whole."""

    __array_interface__ = {"version": 3, "shape": ((END - BEGIN) // WORD,), "typestr": f"<u{WORD}", "data": (BEGIN, True)}


@functools.cache
def _tried(numpy: Any) -> Any:
    """All memory as an array of words; None where they are not what is said here."""

    def word(address: int, place: int) -> int:
        return int(memory[(address + place - BEGIN) // WORD])

    try:
        memory = numpy.asarray(_All())
        return memory if _versions_rise(word) and _attributes_count(word) and _containers_tell(word) else None
    except Exception:  # no such array can be made here, or addresses are none of its places
        return None


Word = Callable[[int, int], int]
Change = Callable[[Any], object]
_CHANGES: tuple[Change, ...] = (
    lambda tried: tried.update(a=object()),
    lambda tried: tried.__setitem__("b", object()),
    lambda tried: tried.__setitem__("b", object()),
    lambda tried: tried.setdefault("c", object()),
    lambda tried: tried.__ior__({"e": 1, "f": 2}),
    lambda tried: tried.pop("e"),
    lambda tried: tried.__delitem__("b"),
    lambda tried: exec("g = 1", {}, tried),
    lambda tried: exec("global h; h = 1", tried),
    lambda tried: tried.popitem(),
    lambda tried: tried.clear(),
    lambda tried: tried.update({1: 2}),
)


def _versions_rise(word: Word) -> bool:
    """Whether each change of a dictionary gives it a version that was never seen, and looking at it none."""
    seen = set[int]()
    for tried in ({}, dict.fromkeys(map(str, range(40)))):
        for change in (len, *_CHANGES):
            change(tried)
            version = word(id(tried), VERSION)
            if version in seen:
                return False
            seen.add(version)
            _ = (list(tried.items()), tried.copy(), tried.get("a"), "a" in tried, str(tried), tried == {})
            if word(id(tried), VERSION) != version:
                return False
    return True


class _Some:
    first: Any
    other: Any


def _attributes_count(word: Word) -> bool:
    """The same for attributes, which instructions of the interpreter set in several ways."""
    early, late = _Some(), _Some()
    held = early.__dict__
    late.first = 0
    late_held = late.__dict__
    for _ in range(TRIES):
        for thing, attributes in ((early, held), (late, late_held)):
            versions = [word(id(attributes), VERSION)]
            thing.first = object()
            versions.append(word(id(attributes), VERSION))
            object.__setattr__(thing, "other", object())
            versions.append(word(id(attributes), VERSION))
            del thing.other
            versions.append(word(id(attributes), VERSION))
            if len(set(versions)) != len(versions) or thing.__dict__ is not attributes:
                return False
    return True


def _containers_tell(word: Word) -> bool:
    """Whether references, items, attributes and weak references change a word of an empty container, each its own."""
    changes: dict[type, tuple[Change, ...]] = {
        dict: (),
        OrderedDict: (lambda thing: thing.__dict__, weakref.ref),
        set: (lambda thing: thing.add(1), weakref.ref),
    }
    for kind, words in STEADY.items():
        for place, change in zip([place for place in words if place != REFERENCES], changes[kind], strict=True):
            holder = [kind()]
            address = id(holder[0])
            if any(place % WORD or word(address, place) != value for place, value in words.items()):
                return False
            kept = change(holder[0])
            if word(address, REFERENCES) != 1 or word(address, place) == words[place]:
                return False
            held = holder[0]
            if word(address, REFERENCES) != 2:
                return False
            del held, kept
    return True
