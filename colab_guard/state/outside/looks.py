"""A cheap look at what a module or class holds: enough to tell that a name was bound anew, or a container changed."""

from __future__ import annotations

import enum
import types
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

PLAIN = (bool, int, float, complex, str, bytes, type(None))
SEQUENCES = (list, tuple, set, frozenset, deque)
TABLES = (dict, OrderedDict, defaultdict, Counter, ChainMap)
DEFINITIONS = (types.FunctionType, types.BuiltinFunctionType, type, staticmethod, classmethod, property)
MOST_ITEMS = 1000
"""Items of a container that are looked at; of a longer one the length counts, and its first items."""
MOST_ATTRIBUTES = 50

Look = Mapping[str, Any]


def look_at(holder: Any, *, inside: bool = True) -> dict[str, Any]:
    """Every name of a module or class, with what stands for its value. `inside`: also into attributes of its objects."""
    package = (holder.__name__ if isinstance(holder, types.ModuleType) else holder.__module__).partition(".")[0]
    return {name: _mark(value, package if inside else None) for name, value in list(vars(holder).items()) if _counts(name, value)}


def kind_of(value: Any) -> str:
    """What a person calls it."""
    if isinstance(value, types.FunctionType):
        return "a function"
    return "a class" if isinstance(value, type) else f"a {type(value).__name__}"


def _counts(name: str, value: Any) -> bool:
    return not (name.startswith("__") and name.endswith("__")) and not isinstance(value, (types.ModuleType, enum.Enum))


def _mark(value: Any, package: str | None) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return (kind, value) if kind not in (str, bytes) or len(value) < MOST_ITEMS else (kind, len(value), hash(value))
    if kind in SEQUENCES or kind in TABLES:
        return id(value), len(value), hash(tuple(_items(value)))
    if package is None or isinstance(value, DEFINITIONS) or str(kind.__module__).partition(".")[0] != package:
        return id(value)
    return id(value), *_attributes(value)


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key, item in islice(value.items(), MOST_ITEMS):
            yield id(key)
            yield item if type(item) in (int, float, bool) else id(item)
        return
    for item in islice(value, MOST_ITEMS):
        yield item if type(item) in (int, float, bool) else id(item)


def _attributes(value: Any) -> Iterator[Any]:
    """One level of an object of the library's own class: a registry, a configuration."""
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return
    if type(held) is not dict:
        return
    for name, part in list(islice(held.items(), MOST_ATTRIBUTES)):
        yield name
        yield _mark(part, None)
