"""Plain data in modules that lie beside the notebook: `helpers.step += 1` is as much the user's as a name of the notebook.

Numbers, texts and containers of these that the cell changed are kept, and put back into the module. What else such a
module holds (models, arrays, objects) is not taken apart here: the comparison names it where it changed.
"""

from __future__ import annotations

import importlib
import pickle
import re
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from colab_guard.state import codes
from colab_guard.state.things import ATOM_TYPES

CONTAINERS = frozenset({list, tuple, set, frozenset, deque})
TABLES = frozenset({dict, OrderedDict, Counter})
MOST_ITEMS = 10_000
"""Items of one value above which it is not looked through at every snapshot."""
PROGRAMS = ("__main__", "__mp_main__")
"""The notebook itself, and the program that runs its kernel, which goes by the second name where `multiprocessing` was imported."""
MOST_MODULES = 200
"""Those imported last, where there are more: the comparison names what changes in the others."""
INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]|[/\\]colab_guard[/\\]")


class LocalModules:
    """What the plain globals of modules beside the notebook were at the cell's start, and what they are."""

    name = "modules beside the notebook"

    def __init__(self) -> None:
        self._count = 0
        self._modules: dict[str, ModuleType] = {}
        self._carried: set[tuple[str, str]] = set()
        self._start = {(module, name): _bytes(value) for module, name, value in self._plain()}

    def available(self) -> bool:
        return True

    def covers(self, module: str, name: str) -> bool:
        """Whether a change of `module.name` would be kept."""
        found = self._modules.get(module)
        return found is not None and is_plain(vars(found).get(name))

    def get(self) -> dict[tuple[str, str], Any] | None:
        found = {
            (module, name): value
            for module, name, value in self._plain()
            if (module, name) in self._carried or _bytes(value) != self._start.get((module, name))
        }
        return found or None

    def set(self, value: Mapping[tuple[str, str], Any] | None) -> None:
        wanted = {key: pickle.loads(data) for key, data in self._start.items()} if value is None else value
        self._carried |= set(value or ())
        for (module, name), held in wanted.items():
            found = sys.modules.get(module) or importlib.import_module(module)
            if value is not None or _bytes(vars(found).get(name)) != self._start[module, name]:
                setattr(found, name, held)

    def _plain(self) -> Iterator[tuple[str, str, Any]]:
        if len(sys.modules) != self._count:
            self._count = len(sys.modules)
            local = {name: module for name, module in list(sys.modules.items()) if is_beside(name, module)}
            self._modules = dict(list(local.items())[-MOST_MODULES:])
        for module, found in self._modules.items():
            for name, value in list(vars(found).items()):
                if not name.startswith("__") and is_plain(value):
                    yield module, name, value


def is_beside(name: str, module: Any) -> bool:
    """Whether a module (not the notebook itself) is code of the user's."""
    file = getattr(module, "__file__", None)
    if name in PROGRAMS or not isinstance(file, str) or INSTALLED.search(file) or file.startswith(sys.base_prefix):
        return False  # told without taking the path apart: there are thousands of these
    return isinstance(module, ModuleType) and codes._is_beside(file)


def is_plain(value: Any) -> bool:
    """Whether `value` is a number, a text, or a container of these."""
    return type(value) in ATOM_TYPES or (_is_container(value) and _all_plain(value))


def _is_container(value: Any) -> bool:
    kind = type(value)
    return kind in CONTAINERS or kind in TABLES or (kind is defaultdict and isinstance(value.default_factory, type))


def _all_plain(value: Any) -> bool:
    todo, left, seen = [value], MOST_ITEMS, set()
    while todo:
        holder = todo.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        left -= len(holder)
        if left < 0:
            return False
        for item in (*holder.keys(), *holder.values()) if isinstance(holder, dict) else holder:
            if type(item) in ATOM_TYPES:
                continue
            if not _is_container(item):
                return False
            todo.append(item)
    return True


def _bytes(value: Any) -> bytes:
    return pickle.dumps(value, 5)
