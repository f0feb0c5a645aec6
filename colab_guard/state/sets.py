"""Sets in the order in which they iterated, and popped, before.

A set's order is that of its hash table: where each item lies, which places were left by removed items, how large the table
is, and where the next `pop` looks. Pickling keeps none of this. A set that is rebuilt by adding its items again iterates
in another order in most cases, whatever its items are: a set of coordinates too, whose hashes are the same everywhere.

1. At a capture the table is read, as CPython lays it out; a test on a set of known layout says whether this Python does.
2. On a resume the set is emptied and filled again, in place. Numbers that stand for removed items are added and removed,
   so that every item finds the places before its own taken, and comes to lie where it lay. Nothing but the set's own
   methods is used; at the end the table is read again and compared.
3. That needs the hashes of the items to be what they were. Those of texts differ between kernels unless PYTHONHASHSEED is
   set: such sets are named.

The table's rules are those of `Objects/setobject.c`, the same from Python 3.7 on.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from typing import Any

from colab_guard.state.things import ATOM_TYPES

HEAD = object.__basicsize__
WORDS, MASK = 6, 2
"""fill, used, mask, table, hash, finger: one machine word each, behind the object's head."""
SMALLEST = 8
LARGEST = 2**18
"""Slots of the largest table that is laid out again; there are at most 157,000 items in it."""
LINEAR_PROBES = 9
PERTURB_SHIFT = 5
REMOVED = -1
"""The hash that stands in a slot whose item was removed; no item has it."""
FILLER = 2**40
TURNS = 12


@dataclass(frozen=True, slots=True)
class Layout:
    """A table: `slots` of the items in their order with their `hashes` (both packed), of `removed` ones, and what `pop` knows.

    `tied` are the items, in order, where some have equal hashes.
    """

    size: int
    finger: int
    slots: bytes
    hashes: bytes
    removed: bytes
    tied: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class _Table:
    size: int
    fill: int
    finger: int
    slots: list[int]
    hashes: list[int]
    removed: list[int]


def _read(thing: Any) -> _Table | None:
    """The table of a set; None where it is too large."""
    fill, used, mask, table, _, finger = _head(thing)
    if mask + 1 > LARGEST:
        return None
    entries = array("q", ctypes.string_at(table, 16 * (mask + 1)))
    keys, every = entries[0::2], entries[1::2]
    taken, hashes = list(compress(range(mask + 1), keys)), list(compress(every, keys))
    if fill == used:
        return _Table(mask + 1, fill, finger, taken, hashes, [])
    removed = [slot for slot, code in zip(taken, hashes, strict=True) if code == REMOVED]
    slots = [slot for slot, code in zip(taken, hashes, strict=True) if code != REMOVED]
    return _Table(mask + 1, fill, finger, slots, [code for code in hashes if code != REMOVED], removed)


def _head(thing: Any) -> list[int]:
    return list((ctypes.c_ssize_t * WORDS).from_address(id(thing) + HEAD))


@lru_cache(maxsize=1)
def can_lay_out() -> bool:
    """Whether this Python's sets are what this module takes them for."""
    if ctypes.sizeof(ctypes.c_ssize_t) != 8 or set.__basicsize__ < HEAD + 8 * WORDS + 16 * SMALLEST:
        return False
    thing: set[int] = set()
    for number in (8, 0, 3):  # a written-out set is copied from one that Python lays out as it likes
        thing.add(number)
    thing.discard(8)
    thing.pop()
    found = _read(thing)
    return found == _Table(8, 3, 2, [3], [3], [0, 1])


def layout_of(thing: Any) -> Layout | None:
    """How `thing`, a set or frozenset, lies; None where that cannot be told."""
    if not can_lay_out():
        return None
    table = _read(thing)
    if table is None:
        return None
    tied = tuple(thing) if len(set(table.hashes)) != len(table.hashes) else ()
    if not ATOM_TYPES.issuperset(map(type, tied)):
        return None  # items that only the graph could hold, and that their hashes do not tell apart
    return Layout(
        table.size,
        table.finger,
        array("I", table.slots).tobytes(),
        array("q", table.hashes).tobytes(),
        array("I", table.removed).tobytes(),
        tied,
    )


def lay_out(thing: set[Any], layout: Layout) -> bool:
    """Let `thing`, which has the same items, lie as `layout` says; False, and unchanged items, where that is not possible."""
    slots = array("I", layout.slots).tolist()
    hashes = array("q", layout.hashes).tolist()
    removed = array("I", layout.removed).tolist()
    items = list(thing)
    placed = _placed(items, slots, hashes, layout.tied)
    if placed is None or not can_lay_out():
        return False
    wanted = _Table(layout.size, len(slots) + len(removed), layout.finger, slots, hashes, removed)
    if _lies(thing, wanted, layout.tied):
        return True
    fillers = dict(zip(removed, _fillers(set(items), removed, layout.size), strict=True))
    order = _order({**placed, **fillers}, layout.size)
    for turn in range(TURNS) if order is not None else ():
        _point(thing, layout.finger)
        if not _fill(thing, order or [], layout.size, turn):
            continue  # another item last, or a larger table on the way, finds its place
        for filler in fillers.values():
            thing.discard(filler)
        if _lies(thing, wanted, layout.tied):
            return True
    thing.clear()
    thing.update(items)
    return False


def _lies(thing: set[Any], wanted: _Table, tied: tuple[Any, ...]) -> bool:
    return _read(thing) == wanted and (not tied or list(thing) == list(tied))


def _placed(items: list[Any], slots: list[int], hashes: list[int], tied: tuple[Any, ...]) -> dict[int, Any] | None:
    """Slot → item; None where the items' hashes are not what they were."""
    if len(items) != len(slots):
        return None
    if tied:
        items = list(tied)
        return dict(zip(slots, items, strict=True)) if [hash(item) for item in items] == hashes else None
    by_hash = {hash(item): item for item in items}
    if by_hash.keys() != set(hashes):
        return None
    return {slot: by_hash[code] for slot, code in zip(slots, hashes, strict=True)}


def _fillers(taken: set[Any], slots: list[int], size: int) -> Iterator[int]:
    """A number for each slot that comes to lie there by itself, and equals no item."""
    for slot in slots:
        filler = FILLER + slot
        while filler in taken:
            filler += size
        yield filler


def _path(code: int, size: int) -> Iterator[int]:
    """The slots at which a table of `size` looks for a place, in turn."""
    mask = size - 1
    perturb = code & (2**64 - 1)
    at = perturb & mask
    while True:
        yield from range(at, at + LINEAR_PROBES + 1) if at + LINEAR_PROBES <= mask else (at,)
        perturb >>= PERTURB_SHIFT
        at = (at * 5 + 1 + perturb) & mask


def _order(wanted: dict[int, Any], size: int) -> list[Any] | None:
    """`wanted`'s items such that each, added in turn to an empty table of `size`, comes to lie in its slot.

    Those that lie at the first place they look for come first. None where there is no such order.
    """
    waiting: dict[int, list[int]] = {}
    missing: dict[int, int] = {}
    ready = []
    for slot, item in wanted.items():
        before = set[int]()
        for place in _path(hash(item), size):
            if place == slot:
                break
            if place not in wanted or len(before) > size:
                return None
            before.add(place)
        missing[slot] = len(before)
        for place in before:
            waiting.setdefault(place, []).append(slot)
        if not before:
            ready.append(slot)
    order = []
    for slot in ready:  # grows meanwhile
        order.append(wanted[slot])
        for other in waiting.get(slot, ()):
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    return order if len(order) == len(wanted) else None


def _limit(size: int) -> int:
    """How many taken slots let a table of `size` grow."""
    return -(-(size - 1) * 3 // 5)


def _point(thing: set[Any], finger: int) -> None:
    """Empty the set, and let its next `pop` begin at `finger`: a number of a slot, perhaps of a larger table that it had."""
    thing.clear()
    if not 0 < finger <= LARGEST:
        return
    last = finger - 1  # the slot that `pop` is to take something from
    thing.update(range(last + 2))
    for number in (*range(last), last + 1):
        thing.discard(number)  # one by one: the table stays as large as it is
    thing.pop()
    thing.clear()


def _fill(thing: set[Any], order: list[Any], size: int, turn: int) -> bool:
    """Add `order` to the empty set so that its table has `size` slots; False where another `turn` may serve.

    A table that grows makes room for four times as many items as are in it, and forgets removed ones. So an eighth of
    `size` goes into a smaller table that is brought to the edge of growing by what is removed again.
    """
    rest = order
    if size > SMALLEST:
        first, rest = order[: size // 8], order[size // 8 :]
        last = first.pop(turn % len(first))
        scratch = SMALLEST * 4 ** (turn % 3)
        while _limit(scratch) <= len(first):
            scratch *= 4
        thing.update(first)
        traces = list(range(2 * FILLER, 2 * FILLER + scratch))
        added = 0
        while _head(thing)[MASK] + 1 < scratch:
            thing.add(traces[added])
            added += 1
        table = _read(thing)
        assert table is not None
        edge = hash(last) & (scratch - 1)
        free = sorted(set(range(scratch)) - set(table.slots) - {edge})
        if edge in table.slots:
            thing.difference_update(traces)
            return False  # the last one would not find its first place free: what was removed there would count
        more = free[: _limit(scratch) - 1 - len(thing)]
        traces = [*traces[:added], *(3 * FILLER + slot for slot in more)]
        thing.update(traces)
        for trace in traces:
            thing.discard(trace)
        thing.add(last)
    for item in rest:
        thing.add(item)
    return True


def is_trivial(thing: Any) -> bool:
    """Whether a set has nothing to lose: at most one item, in a table that was never larger."""
    if not can_lay_out():
        return True
    fill, used, mask, _, _, finger = _head(thing)
    return used == fill and used < 2 and mask == SMALLEST - 1 and not finger


def lies_alike(thing: Any, layout: Layout) -> bool:
    """Whether a rebuilt set, which cannot be changed, iterates in the order of `layout`."""
    return [hash(item) for item in thing] == array("q", layout.hashes).tolist() and not layout.tied


def hashes_are(thing: Any, layout: Layout) -> bool:
    """Whether the items have the hashes that they had."""
    return sorted(map(hash, thing)) == sorted(array("q", layout.hashes))
