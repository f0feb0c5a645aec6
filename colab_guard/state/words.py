"""Whether containers were changed since, told by words that they have in memory.

CPython 3.11 and 3.12 give each dictionary a number that no other has ever had, and a new one whenever it changes
(PEP 509). It lies at a fixed place in the object, as do the count of references to an object, the number of a set's
items, and an OrderedDict's attributes and weak references. numpy reads such words of thousands of objects in the time
that Python takes to look at a few hundred.

Nothing is held by this: whoever asks has proved that the containers are alive. What the words mean is tried out before
they are trusted; where that fails, or Python is another, or numpy is not there, there are no words, and whoever asks has
to look at the containers themselves.
"""

from __future__ import annotations

import functools
import struct
import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

WORD = 8
REFERENCES, VERSION, ITEMS_OF_SET = 0, 24, 24
"""Where in an object its references are counted, in a dictionary its version stands, in a set how many items it has."""
TRIES = 300
"""More than the interpreter takes to replace an instruction by one that is made for what it meets."""
BEGIN = 4096
"""Nothing lies below."""
_KNOWN = sys.implementation.name == "cpython" and (3, 11) <= sys.version_info[:2] <= (3, 12) and struct.calcsize("P") == WORD
PLACES: dict[type, dict[int, int | None]] = {
    dict: {REFERENCES: 1, VERSION: None},
    OrderedDict: {REFERENCES: 1, VERSION: None, OrderedDict.__dictoffset__: 0, OrderedDict.__weakrefoffset__: 0},
    set: {REFERENCES: 1, ITEMS_OF_SET: 0, set.__weakrefoffset__: 0},
}
"""Of the types of empty containers: the places of words that stay as they are while nothing is in these, and one holder
alone knows them; and what these words are, where that is known."""


@dataclass(slots=True)
class Words:
    """Some words of some objects, and what they were."""

    _memory: Any
    _places: Any
    _before: bytes

    def same(self) -> bool:
        """Whether they are what they were. The objects must be alive."""
        return self._now() == self._before

    def renew(self) -> None:
        """Let them be as they are now."""
        self._before = self._now()

    def let_be(self, known: Iterable[int | None]) -> None:
        """Take it that they were so, where that is known."""
        before = struct.unpack(f"{len(self._before) // WORD}Q", self._before)
        told = (old if new is None else new for old, new in zip(before, known, strict=True))
        self._before = struct.pack(f"{len(before)}Q", *told)

    def _now(self) -> bytes:
        found: bytes = self._memory.take(self._places).tobytes()
        return found


def versions(dictionaries: Sequence[dict[Any, Any]]) -> Words | None:
    """What tells whether any of these, which are no instances of a class of their own, was changed."""
    return _words([(address, VERSION) for address in map(id, dictionaries)])


def of_empty(containers: Sequence[Any]) -> Words | None:
    """What tells whether these empty containers of known types are so still, and known to one holder; they are so now.

    That they are held by the caller too makes no difference.
    """
    if not set(map(type, containers)).issubset(PLACES):
        return None
    found = _words([(id(thing), place) for thing in containers for place in PLACES[type(thing)]])
    if found is not None:
        found.let_be([known for thing in containers for known in PLACES[type(thing)].values()])
    return found


def _words(places: Sequence[tuple[int, int]]) -> Words | None:
    memory = _memory()
    if memory is None or not places:
        return None
    numpy = sys.modules["numpy"]
    words = Words(memory, numpy.array([(address + place - BEGIN) // WORD for address, place in places], numpy.intp), b"")
    words.renew()
    return words


def _memory() -> Any:
    """All memory as an array of words; None where they are not what is said here."""
    numpy = sys.modules.get("numpy") if _KNOWN else None
    return None if numpy is None else _tried(numpy)


class _All:
    """For numpy: memory from `BEGIN` on, as far as addresses of programs go."""

    __array_interface__ = {"version": 3, "shape": ((2**47 - BEGIN) // WORD,), "typestr": f"<u{WORD}", "data": (BEGIN, True)}


@functools.cache
def _tried(numpy: Any) -> Any:
    memory = numpy.asarray(_All())

    def word(address: int, place: int) -> int:
        return int(memory[(address + place - BEGIN) // WORD])

    whole = not any(place % WORD for places in PLACES.values() for place in places)
    return memory if whole and _versions_rise(word) and _attributes_count(word) and _containers_tell(word) else None


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
        dict: (lambda thing: thing.update(a=1),),
        OrderedDict: (lambda thing: thing.update(a=1), lambda thing: thing.__dict__.update(a=1), weakref.ref),
        set: (lambda thing: thing.add(1), weakref.ref),
    }
    for kind, (references, *places) in PLACES.items():
        for place, change in zip(places, changes[kind], strict=True):
            holder = [kind()]
            address = id(holder[0])
            before = word(address, place)
            kept = change(holder[0])
            if word(address, references) != 1 or word(address, place) == before:
                return False
            held = holder[0]
            if word(address, references) != 2:
                return False
            del held, kept
    return True
