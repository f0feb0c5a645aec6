"""Which sets of the user's keep their order over a resume: found at a capture, laid out again when they are back.

Looked for in the user's names and local variables: through containers, and through objects of the notebook's own classes.
Sets inside libraries' objects are rebuilt like everything else of theirs. A capture whose bytes hold no set costs nothing.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import CellType
from typing import Any

from colab_guard.state.sets import Layout, hashes_are, is_trivial, lay_out, layout_of, lies_alike
from colab_guard.state.things import ATOM_TYPES

ORDERS = "orders"
"""The part of a snapshot that holds how its sets lie."""
MARKS = (pickle.EMPTY_SET + pickle.MEMOIZE + pickle.MARK, pickle.FROZENSET + pickle.MEMOIZE)
"""Bytes of a pickle with a set that is not empty; other data may have them too, and is looked through for nothing."""
MOST_LOOKED_AT = 2_000
"""Objects; sets that lie deeper are rebuilt without their order."""
SAMPLE = 200
"""Items of a long container by whose types it is told whether anything in it can hold a set."""
SEQUENCES = frozenset({list, tuple, deque})
TABLES = frozenset({dict, OrderedDict, defaultdict})
SETS = frozenset({set, frozenset})
FROZEN = "a frozenset cannot be laid out again"
OTHER_HASHES = (
    "their items' hashes differ between kernels; those of texts do not where kernels start with PYTHONHASHSEED=0, as colab-guard run "
    "starts them"
)

Step = int | str
"""From a container to its item of that number, from an object to its attribute, from a shared variable ("") to its value."""
Steps = tuple[Step, ...]
Trail = tuple[Any, Any, Any]
"""The trail of the holder, the step from there, and the step as people write it."""


@dataclass(frozen=True, slots=True)
class Order:
    """A set that is reached by `steps` from the captured names, what people call it, and how it lies, if that can be told."""

    steps: Steps
    path: str
    layout: Layout | None


def holds_sets(parts: Mapping[str, bytes]) -> bool:
    """Whether a capture may hold sets that are not empty."""
    return any(mark in part for part in parts.values() for mark in MARKS)


def orders(names: Mapping[str, Any]) -> bytes:
    """How every set under `names` lies whose order a rebuilt one might not have."""
    return pickle.dumps(list(_found(names)), 5)


def _found(names: Mapping[str, Any]) -> Iterator[Order]:
    todo: list[tuple[Any, Trail]] = [(value, ((), name, name)) for name, value in names.items() if _may_hold(value)]
    seen: set[int] = set()
    while todo and len(seen) < MOST_LOOKED_AT:
        thing, trail = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if type(thing) in SETS:
            if not is_trivial(thing):
                yield Order(_steps(trail), _path(trail), layout_of(thing))
            continue
        # trails become words only where a set is found
        left = max(MOST_LOOKED_AT - len(seen) - len(todo), 0)
        todo += islice(((part, (trail, step, word)) for step, word, part in _parts(thing) if _may_hold(part)), left)


def _parts(thing: Any) -> Iterator[tuple[Step, Any, Any]]:
    kind = type(thing)
    if kind in SEQUENCES:
        if _worth_while(thing):
            yield from ((number, number, part) for number, part in enumerate(thing))
    elif kind in TABLES:
        if _worth_while(thing.values()):
            yield from ((number, key, part) for number, (key, part) in enumerate(thing.items()))
    elif kind is CellType:
        yield from (("", None, part) for part in _content(thing))
    else:
        yield from ((name, f".{name}", part) for name, part in vars(thing).items())


def _may_hold(thing: Any) -> bool:
    kind = type(thing)
    if kind in SETS or kind in SEQUENCES or kind in TABLES:
        return bool(thing)
    if kind is CellType:
        return True
    return kind.__module__ == "__main__" and not isinstance(thing, type) and isinstance(getattr(thing, "__dict__", None), dict)


def _worth_while(items: Iterable[Any]) -> bool:
    return not ATOM_TYPES.issuperset(map(type, islice(items, SAMPLE)))


def _content(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # not yet assigned
        return ()


def _steps(trail: Trail) -> Steps:
    holder, step, _ = trail
    return (*(_steps(holder) if holder else ()), step)


def _path(trail: Trail) -> str:
    holder, step, word = trail
    if not holder:
        return str(word)
    if isinstance(step, int):
        return f"{_path(holder)}[{word!r}]"
    return f"{_path(holder)}{word or ''}"


# back


def put_in_order(kept: bytes, names: Mapping[str, Any]) -> dict[str, str]:
    """Let restored sets lie as they did; the paths of those that cannot, and iterate in another order, with the reasons."""
    lost = {}
    for order in pickle.loads(kept):
        thing = _at(order.steps, names)
        if type(thing) not in SETS:
            continue  # it could not be kept, which was said then
        if not _lies(thing, order.layout) and len(thing) > 1:
            frozen = type(thing) is frozenset and order.layout is not None and hashes_are(thing, order.layout)
            lost[order.path] = FROZEN if frozen else OTHER_HASHES
    return lost


def _lies(thing: Any, layout: Layout | None) -> bool:
    if layout is None:
        return False
    return lay_out(thing, layout) if type(thing) is set else lies_alike(thing, layout)


def _at(steps: Steps, names: Mapping[str, Any]) -> Any:
    thing: Any = names.get(str(steps[0]))
    for step in steps[1:]:
        if isinstance(step, int):
            items = thing.values() if isinstance(thing, dict) else thing if type(thing) in SEQUENCES else ()
            thing = next(islice(items, step, None), None)
        elif not step:
            thing = next(iter(_content(thing)), None) if isinstance(thing, CellType) else None
        else:
            thing = getattr(thing, "__dict__", {}).get(step)
    return thing
