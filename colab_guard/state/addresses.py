"""Numbers that are the `id` of an object in the same graph: after a restore they are that object's new one.

Code from scratch keeps state by `id(parameter)`; in another process no object has the id that it had. A number that fits
into no 32 bits and is the address of an object that was just pickled is taken for its id: as a key, a value, an item of a
list or set, an attribute or a shared variable, alone or in tuples. A graph without such numbers costs a look through its bytes.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from types import CellType
from typing import TYPE_CHECKING, Any

from colab_guard.state.paths import attributes

if TYPE_CHECKING:
    from colab_guard.state.pickler import Reducing

ADDRESSES = "addresses"
"""The part of a snapshot that is read behind the graph, and says where ids stood."""
_ALIGNED = b"[" + b"".join(re.escape(bytes([low])) for low in range(0, 256, 8)) + b"]"
NUMBERS = re.compile(b"\x8a(?:\x05(" + _ALIGNED + b".{3}[^\0])|\x06(" + _ALIGNED + b".{5})|\x07(" + _ALIGNED + b".{5}\0))", re.DOTALL)
"""In a pickle, whole numbers of more than 32 and up to 48 bits that may be an address. (Random states have hundreds of 32.)"""
SMALLEST = 2**32
WINDOW_BITS = 36
"""Objects lie within 64 GiB of some object of the notebook; other numbers are not looked up."""

Changes = list[tuple[Any, ...]]
Where = tuple[Any, bool, int, Changes]
"""A holder, whether its attributes are meant, how many items it has, and what is to stand in which places."""


class Address:
    """Stands for `id(thing)`."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __reduce__(self) -> tuple[Any, ...]:
        return Address, (self.thing,)


class _Ids:
    """Numbers that are ids, with whose they are; `met` counts those for which an `Address` was given."""

    def __init__(self, owners: Mapping[int, Any]) -> None:
        self.owners = owners
        self.met = 0

    def of(self, value: Any) -> Any:
        """`value` with an `Address` for each id in it, or the very `value`."""
        if type(value) is int and value in self.owners:
            self.met += 1
            return Address(self.owners[value])
        if type(value) is tuple:
            parts = tuple(map(self.of, value))
            return value if all(new is old for new, old in zip(parts, value, strict=True)) else parts
        return value

    def pairs(self, items: Iterable[Any]) -> Changes:
        """The items in which ids stand: number, as it is, as it is to be."""
        return [(number, old, new) for number, old in enumerate(items) if (new := self.of(old)) is not old]

    def places(self, thing: Any) -> Changes:
        if isinstance(thing, dict):
            every = enumerate(thing.items())
            changed = ((number, old, (self.of(old[0]), self.of(old[1]))) for number, old in every)
            return [(number, old, new) for number, old, new in changed if new[0] is not old[0] or new[1] is not old[1]]
        if isinstance(thing, (list, set)):
            return self.pairs(thing)
        if type(thing) is CellType:
            try:
                return self.pairs((thing.cell_contents,))
            except ValueError:  # not yet assigned
                return []
        return []


def numbers_in(pickled: bytes) -> Counter[int]:
    """Numbers that may be an address, and how often each is written."""
    return Counter(int.from_bytes(b"".join(found), "little") for found in NUMBERS.findall(pickled))


def found(pickler: Reducing, numbers: Counter[int]) -> list[Where]:
    """Where ids of pickled objects stand in what was pickled; those that cannot be put right later are named."""
    windows = {(id(thing) >> WINDOW_BITS) + side for thing in _some(pickler) for side in (-1, 0, 1)} if numbers else set()
    near = [number for number in numbers if number >= SMALLEST and number >> WINDOW_BITS in windows]
    if not near:
        return []
    memo: dict[int, tuple[int, Any]] = pickler.memo.copy()
    owners = {number: memo[number][1] for number in near if number in memo}
    if not owners:
        return []
    ids, things = _Ids(owners), [thing for _, thing in memo.values()]
    places = [(thing, _size(thing), changes) for thing in things if (changes := ids.places(thing))]
    instances = _instances(things, {id(thing) for thing, _, _ in places if type(thing) is dict})
    if ids.met < sum(numbers[number] for number in owners):
        whose = pickler.path_of(next(iter(owners.values())))
        pickler.note_loss(0, f"it is no object's id after a resume; use the object itself as the key ({whose})", "an id() that is kept")
    return [(instances.get(id(thing), thing), id(thing) in instances, size, changes) for thing, size, changes in places]


def _some(pickler: Reducing) -> Iterator[Any]:
    """Objects of all sizes."""
    yield from (pickler, object(), pickler.blocks)
    yield from list(pickler.live.namespace.values())


def _size(thing: Any) -> int:
    return 1 if type(thing) is CellType else len(thing)


def _instances(things: Iterable[Any], dictionaries: set[int]) -> dict[int, Any]:
    """Whose attributes these dictionaries are, by their addresses: a rebuilt instance has another one."""
    if not dictionaries:
        return {}
    return {id(held): thing for thing in things if id(held := attributes(thing)) in dictionaries}


def put_right(places: Iterable[Where]) -> None:
    """Let the numbers be the ids that the objects have now."""
    for holder, of_attributes, size, changes in places:
        thing = vars(holder) if of_attributes else holder
        if not isinstance(thing, (dict, list, set, CellType)) or _size(thing) != size:
            continue  # a part of it could not be kept, which was said then
        if isinstance(thing, dict):
            items: list[Any] = list(thing.items())
            for number, _, new in changes:
                items[number] = _told(new)
            kind: Any = OrderedDict if isinstance(thing, OrderedDict) else dict
            kind.clear(thing)
            for key, value in items:
                kind.__setitem__(thing, key, value)
        elif isinstance(thing, list):
            for number, _, new in changes:
                thing[number] = _told(new)
        elif isinstance(thing, set):
            thing.difference_update([old for _, old, _ in changes])
            thing.update([_told(new) for _, _, new in changes])
        else:
            thing.cell_contents = _told(changes[0][2])


def _told(value: Any) -> Any:
    if type(value) is Address:
        return id(value.thing)
    return tuple(map(_told, value)) if type(value) is tuple else value
