"""Which sets of the user's keep their order over a resume: found at a capture, laid out again when they are back.

Looked for in the user's names and local variables: through containers, and through objects of the notebook's own classes.
Sets inside libraries' objects are rebuilt like everything else of theirs.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from colab_guard.state.sets import Layout, is_trivial, lay_out, layout_of, lies_alike

MOST_LOOKED_AT = 20_000
"""Objects; sets that lie deeper are rebuilt without their order."""
SAMPLE = 200
"""Items of a long container by whose types it is told whether anything in it can hold a set."""
SEQUENCES = frozenset({list, tuple, deque})
TABLES = frozenset({dict, OrderedDict, defaultdict})
SETS = frozenset({set, frozenset})
ATOMS = frozenset({bool, int, float, complex, str, bytes, type(None)})

Ordered = tuple[Any, Layout, str]
"""A set, how it lies, and what people call it."""


def orders(names: Mapping[str, Any]) -> list[Ordered]:
    """Every set under `names` whose order a rebuilt one might not have."""
    found: list[Ordered] = []
    todo = [(value, name) for name, value in names.items() if _may_hold(value)]
    seen: set[int] = set()
    while todo and len(seen) < MOST_LOOKED_AT:
        thing, path = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        kind = type(thing)
        if kind in SETS:
            if not is_trivial(thing) and (layout := layout_of(thing)) is not None:
                found.append((thing, layout, path))
        elif kind in SEQUENCES:
            if _worth_while(thing):
                todo += [(part, f"{path}[{number}]") for number, part in enumerate(thing) if _may_hold(part)]
        elif kind in TABLES:
            if _worth_while(thing.values()):
                todo += [(part, f"{path}[{key!r}]") for key, part in thing.items() if _may_hold(part)]
        else:
            todo += [(part, f"{path}.{name}") for name, part in vars(thing).items() if _may_hold(part)]
    return found


def _may_hold(thing: Any) -> bool:
    kind = type(thing)
    if kind in SETS or kind in SEQUENCES or kind in TABLES:
        return bool(thing)
    return kind.__module__ == "__main__" and not isinstance(thing, type) and isinstance(getattr(thing, "__dict__", None), dict)


def _worth_while(items: Iterable[Any]) -> bool:
    return any(type(item) not in ATOMS for item in islice(items, SAMPLE))


def put_in_order(kept: Iterable[Ordered]) -> list[str]:
    """Let restored sets lie as they did; the paths of those that cannot, and iterate in another order."""
    lost = []
    for thing, layout, path in kept:
        done = lay_out(thing, layout) if type(thing) is set else type(thing) is not frozenset or lies_alike(thing, layout)
        if not done and len(thing) > 1:
            lost.append(path)
    return lost
