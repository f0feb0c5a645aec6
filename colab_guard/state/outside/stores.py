"""Objects of known libraries in which they keep what users make, found by their qualified names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Store:
    """The object `attribute` of `module`: its attributes, or (`entries`) what it holds as a dictionary."""

    label: str
    module: str
    attribute: str
    entries: bool = False

    def find(self) -> Any:
        holder: Any = sys.modules.get(self.module)
        for part in self.attribute.split("."):
            holder = getattr(holder, part, None)
        return holder


STORES = (
    # pyro.param() and every optimizer of pyro.optim go by this one object
    Store("pyro's parameter store", "pyro.poutine.runtime", "_PYRO_PARAM_STORE"),
    Store("accelerate's gradient state", "accelerate.state", "GradientState._shared_state", entries=True),
    Store("gymnasium's registered environments", "gymnasium.envs.registration", "registry", entries=True),
    Store("torch's hooks of all modules", "torch.nn.modules.module", "_global_forward_hooks", entries=True),
    Store("torch's pre-hooks of all modules", "torch.nn.modules.module", "_global_forward_pre_hooks", entries=True),
    Store("torch's backward hooks of all modules", "torch.nn.modules.module", "_global_backward_hooks", entries=True),
)


class Stores:
    """What they held at the cell's start, by identity, and since."""

    name = "libraries' stores"

    def __init__(self, stores: tuple[Store, ...] = STORES) -> None:
        self._stores = stores
        self._start: dict[str, Any] = {store.label: _content(store) for store in stores if store.find() is not None}
        self._carried: set[str] = set()

    def available(self) -> bool:
        return any(store.module in sys.modules for store in self._stores)

    def get(self) -> dict[str, Any] | None:
        found = {}
        for store in self._stores:
            content = _content(store)
            if content is None:
                continue
            if store.label not in self._carried and store.entries and _same(content, self._start.get(store.label) or {}):
                continue
            found[store.label] = content
        return found or None

    def set(self, value: Mapping[str, Any] | None) -> None:
        self._carried |= set(value or ())
        for store in self._stores:
            wanted = (value or {}).get(store.label, self._start.get(store.label))
            if wanted is None or (value is not None and store.label not in value and store.find() is None):
                continue
            importlib.import_module(store.module)
            thing = store.find()
            held = thing if store.entries else vars(thing)
            if not _same(held, wanted):
                held.clear()
                held.update(wanted)


def _content(store: Store) -> dict[str, Any] | None:
    """A copy of one level: what a later change of the store does not change."""
    thing = store.find()
    if thing is None:
        return None
    return dict(thing if store.entries else vars(thing))


def _same(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    return list(map(id, one.values())) == list(map(id, other.values())) and list(one) == list(other)
