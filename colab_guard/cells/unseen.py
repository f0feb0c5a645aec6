"""Whether code of the user's may write to tensors, and to what optimizers remember, in ways that no version of a tensor counts.

Told by the words that code mentions: a word that leads to an optimizer's state, and one that writes past torch. Looked
at is the cell, the notebook's functions that it reaches, and every module beside the notebook that its names lead to,
with those that these import. Installed libraries are not: what they keep to is known, and they mention every word.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from colab_guard.state import is_beside

REACH = frozenset({"state", "state_dict", "__getstate__", "__dict__", "vars", "getattr", "attrgetter", "optimizer_state"})
UNSEEN = frozenset({
    "data", "numpy", "__array__", "asarray", "from_numpy", "from_dlpack", "__dlpack__", "to_dlpack", "data_ptr", "frombuffer",
    "storage", "untyped_storage", "resize_", "set_", "_unsafe_preserve_version_counter",
})
"""Code that mentions one of these may write to a tensor in ways that no version of it counts; with one of `REACH`, to moments."""


def code_names(code: types.CodeType) -> Iterator[str]:
    """Global names and attributes that `code`, and code nested in it, mentions."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_names(constant)


class Reaching:
    """Asked at each capture, since a cell imports while it runs; once true it stays so."""

    def __init__(self, words: Iterable[str], namespace: Mapping[str, Any]) -> None:
        self._words = frozenset(words)
        self._namespace = namespace
        self._known: dict[str, frozenset[str]] = {}
        """What each module beside the notebook mentions."""
        self.unseen = False
        """Whether anything that was reached may write to a tensor unseen."""
        self.moments = False
        """Whether anything may to an optimizer's moments."""

    def look(self) -> None:
        words = self._words.union(*self._modules())
        self.unseen = self.unseen or not words.isdisjoint(UNSEEN)
        self.moments = self.moments or (self.unseen and not words.isdisjoint(REACH))

    def _modules(self) -> Iterator[frozenset[str]]:
        todo = [name for word in self._words for name in _homes(word, self._namespace)]
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            module = sys.modules.get(name)
            if name not in self._known and not is_beside(name, module):
                continue
            if name not in self._known:
                self._known[name] = _mentioned(module)
            yield self._known[name]
            todo += [home for value in list(vars(module).values()) for home in _home(value)]


def _homes(word: str, namespace: Mapping[str, Any]) -> Iterator[str]:
    if word in sys.modules:
        yield word
    if word in namespace:
        yield from _home(namespace[word])


def _home(value: Any) -> Iterator[str]:
    """The names of the modules that a value, or its class, is of."""
    if isinstance(value, types.ModuleType):
        yield value.__name__
        return
    for thing in (value, type(value)) if isinstance(value, (type, types.FunctionType)) else (type(value),):
        name = getattr(thing, "__module__", None)
        if isinstance(name, str):
            yield name


def _mentioned(module: Any) -> frozenset[str]:
    """The words of a module's code; all of them where it cannot be read."""
    try:
        code = module.__spec__.loader.get_code(module.__name__)
        return frozenset(code_names(code))
    except (AttributeError, ImportError, OSError, SyntaxError, TypeError):
        return REACH | UNSEEN
