"""How a person reaches an object from the captured names: "model.hooks[0]"."""

from __future__ import annotations

import collections
import gc
import types
from dataclasses import dataclass
from typing import Any

WALK_LIMIT = 200_000


@dataclass(slots=True)
class Roots:
    """What a capture starts from: the user's names first, then our own records."""

    names: dict[str, Any]
    others: list[Any]


def path_to(thing: Any, roots: Roots) -> str:
    """The shortest path to `thing`; its type if none is found."""
    todo: collections.deque[tuple[Any, str]] = collections.deque([(roots, "")])
    seen = {id(roots)}
    while todo and len(seen) < WALK_LIMIT:
        holder, path = todo.popleft()
        if holder is thing:
            return path.lstrip(".") or f"a {type(thing).__qualname__}"
        for part, step in _parts(holder):
            if id(part) not in seen:
                seen.add(id(part))
                todo.append((part, _extended(path, step)))
    return f"a {type(thing).__qualname__}"


def _extended(path: str, step: str) -> str:
    # the outermost steps are our own packing, not the user's names
    return path if step.startswith("<") else f"{path}{step}"


def _parts(holder: Any) -> list[tuple[Any, str]]:
    if isinstance(holder, Roots):
        return [(value, f".{name}") for name, value in holder.names.items()] + [(v, "<") for v in holder.others]
    if type(holder) is dict:
        return [(value, f"[{key!r}]") for key, value in holder.items()] + [(key, "<") for key in holder]
    if type(holder) in (list, tuple, set, frozenset):
        return [(value, f"[{number}]") for number, value in enumerate(holder)]
    if isinstance(holder, (type, types.ModuleType, types.CodeType)):
        return []
    if isinstance(holder, types.FunctionType):
        # never into its globals: a path through them would be right and mean nothing
        cells = zip(holder.__code__.co_freevars, holder.__closure__ or (), strict=False)
        return [(cell, f".<{name}>") for name, cell in cells] + [(holder.__defaults__, "<"), (holder.__dict__, "<")]
    parts = [(value, f".{name}") for name, value in attributes(holder).items()]
    if isinstance(holder, dict):
        parts += [(value, f"[{key!r}]") for key, value in holder.items()]
    known = {id(value) for value, _ in parts}
    return parts + [(value, "<") for value in gc.get_referents(holder) if id(value) not in known]


def attributes(holder: Any) -> dict[str, Any]:
    """Those of an instance itself, as they are."""
    try:
        found = object.__getattribute__(holder, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}
