"""Texts under a secret's name that do not follow it in a pickle: in lists, in tables, in tuples whose fields have names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from colab_guard.state.secret_names import is_secret_name, name_inside

FEW = 16
"""A longer list, or a longer column, under such a name is data."""


def named_values(before: Any, thing: Any) -> Iterator[tuple[str, Any]]:
    """What `thing` holds, with the names that it stands under; `before` is what was pickled before `thing`."""
    kind = type(thing)
    if kind is list or kind is tuple:
        if type(before) is str and len(thing) <= FEW and is_secret_name(before) and before.lower() != "token":
            yield from ((before, value) for value in thing)
    elif kind is dict:
        if type(before) is str and "key" in thing:
            yield name_inside(before, "key"), thing["key"]
    elif issubclass(kind, tuple):
        yield from zip(_fields(kind), tuple.__iter__(thing), strict=False)
    elif kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas" and len(thing) <= FEW:
        for column in thing.columns:
            if type(column) is str and is_secret_name(column):
                yield from ((column, value) for value in thing[column])


def may_be_named(kinds: Iterable[type]) -> bool:
    """Whether one of the classes of which instances were met gives names to them that no pickle has."""
    return any(is_secret_name(name) for kind in kinds if issubclass(kind, tuple) for name in _fields(kind))


def _fields(kind: type) -> tuple[str, ...]:
    found = next((base.__dict__["_fields"] for base in kind.__mro__ if "_fields" in base.__dict__), ())
    return found if type(found) is tuple and all(type(name) is str for name in found) else ()
