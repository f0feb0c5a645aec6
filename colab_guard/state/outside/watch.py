"""What changed in used libraries while the cell ran, and is covered by no adapter: named, since no snapshot holds it.

Three depths, by what a package is. Modules beside the notebook are the user's own: every change of theirs counts. Of
small libraries that the cell uses, the globals of all modules are compared, without what only libraries care for (caches,
counters, what is filled in late). Large ones whose switches have adapters (`KNOWN`, and Python's own) are compared where
the cell's code names a module or class of theirs: `torch.nn.Linear.forward = mine` is found, and nothing is walked through.
"""

from __future__ import annotations

import enum
import re
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from colab_guard.state.outside.looks import DEFINITIONS, MOST_ITEMS, PLAIN, Look, kind_of, look_at
from colab_guard.state.outside.modules import is_beside

KNOWN = frozenset(
    {
        "torch", "torchvision", "torchaudio", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "mpl_toolkits",
        "transformers", "peft", "accelerate", "datasets", "tokenizers", "safetensors", "huggingface_hub", "tqdm", "PIL",
        "IPython", "ipywidgets", "ipykernel", "traitlets", "jax", "jaxlib", "flax", "tensorflow", "keras", "pyarrow", "numba",
    }
)
OURS = frozenset({"colab_guard", "__main__", "builtins"})
MOST_MODULES = 400
MOST_CLASSES = 2000
AGAIN_S = 30.0
COST_FACTOR = 100.0
"""Looking takes at most a hundredth of the time."""
MOST_SAID = 20
NOISE = re.compile(
    r"(?i)cache|memo|lock|warn|seen|once|count|lazy|loaded|init|import|pool|thread|timer|last|session|logger|stats|hits|miss|"
    r"_abc_|_lru|weak|tmp|temp|_id$|_ids$|uid|__"
)


@dataclass(frozen=True, slots=True)
class Change:
    """`path` ("somelib.registry") has another value, or other content; `kind` is what it is now ("a dict")."""

    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A module or class that is looked at, and how closely."""

    holder: Any
    name: str
    depth: str  # "own", "library" or "named"

    def look(self) -> Look:
        return look_at(self.holder, inside=self.depth != "named")


class Watch:
    """Made at the cell's start, when it looks for the first time. `words` are all names that the cell's code mentions."""

    def __init__(
        self, words: Iterable[str], namespace: Mapping[str, Any], covered: Callable[[str, str], bool] = lambda module, name: False
    ) -> None:
        self._words = frozenset(words)
        self._namespace = namespace
        self._covered = covered
        self._looks: dict[int, tuple[_Place, Look]] = {}
        self._changes: dict[str, Change] = {}
        self._modules = 0
        self._next = 0.0
        self._find()

    def changes(self, *, now: bool = False) -> list[Change]:
        """All changes so far; looks only when some time has passed since the last look, or `now`."""
        began = time.monotonic()
        if not now and began < self._next:
            return list(self._changes.values())
        for place, before in list(self._looks.values()):
            after = place.look()
            if after != before:
                for change in _differences(place, before, after, self._covered):
                    self._changes.setdefault(change.path, change)
        if len(sys.modules) != self._modules:
            self._find()  # what was imported meanwhile is compared from here on
        ended = time.monotonic()
        self._next = ended + max(AGAIN_S, COST_FACTOR * (ended - began))
        return list(self._changes.values())[:MOST_SAID]

    def _find(self) -> None:
        self._modules = len(sys.modules)
        for place in _places(self._words, self._namespace):
            if id(place.holder) not in self._looks:
                self._looks[id(place.holder)] = place, place.look()


# which modules and classes


def _places(words: frozenset[str], namespace: Mapping[str, Any]) -> Iterator[_Place]:
    roots = [thing for word in words if (thing := namespace.get(word, sys.modules.get(word))) is not None]
    packages = {_package(thing) for thing in roots}
    own, small = set(), set()
    for name, module in list(sys.modules.items()):
        package = name.partition(".")[0]
        if not isinstance(module, types.ModuleType) or package in OURS:
            continue
        if is_beside(name, module):
            own.add(name)
        elif package in packages and not _is_known(package):
            small.add(name)
    for name in (*sorted(own), *sorted(small, key=lambda name: (name.count("."), name))[:MOST_MODULES]):
        depth = "own" if name in own else "library"
        yield _Place(sys.modules[name], name, depth)
    classes = 0
    for name in sorted(own | small):
        for value in list(vars(sys.modules[name]).values()):
            if isinstance(value, type) and value.__module__ == name and not issubclass(value, enum.Enum) and classes < MOST_CLASSES:
                classes += 1
                yield _Place(value, f"{name}.{value.__qualname__}", "own" if name in own else "library")
    yield from _named(roots, words)


def _named(roots: list[Any], words: frozenset[str]) -> Iterator[_Place]:
    """Modules and classes of large libraries that the code reaches by names that it mentions."""
    todo = [thing for thing in roots if isinstance(thing, (types.ModuleType, type)) and _is_known(_package(thing))]
    seen: set[int] = set()
    while todo and len(seen) < MOST_CLASSES:
        holder = todo.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        name = holder.__name__ if isinstance(holder, types.ModuleType) else f"{holder.__module__}.{holder.__qualname__}"
        yield _Place(holder, name, "named")
        held = vars(holder)
        todo += [part for word in words if isinstance(part := held.get(word), (types.ModuleType, type))]


def _package(thing: Any) -> str:
    """The top-level package that a module, class, function or object comes from."""
    if isinstance(thing, types.ModuleType):
        name = thing.__name__
    else:
        name = getattr(thing, "__module__", None) or type(thing).__module__
    return name.partition(".")[0] if isinstance(name, str) else ""


def _is_known(package: str) -> bool:
    return package in KNOWN or package in sys.stdlib_module_names


# what changed


def _differences(place: _Place, before: Look, after: Look, covered: Callable[[str, str], bool]) -> Iterator[Change]:
    for name in after:
        if name in before and before[name] == after[name]:
            continue
        value = vars(place.holder).get(name)
        if place.depth == "own" and covered(place.name, name):
            continue
        if _matters(place, name, value, before.get(name)):
            yield Change(f"{place.name}.{name}", kind_of(value))
    if place.depth == "own":
        for name in before.keys() - after.keys():
            yield Change(f"{place.name}.{name}", "a name that is gone")


def _matters(place: _Place, name: str, value: Any, before: Any) -> bool:
    """Whether a change says something of the user's work. `before`: how the value had looked, None for a new name."""
    if place.depth == "own":
        return not (before is None and isinstance(value, DEFINITIONS) and _is_of(value, place))
    if isinstance(value, DEFINITIONS):
        return not _is_of(value, place)
    if before is None or NOISE.search(name) or place.depth == "named":
        return False
    if not name.startswith("_"):
        return True
    # private names: settings that a function of the library sets; what is filled in late, and tables of its own, are not
    if type(value) in PLAIN:
        return before != (type(None), None)
    return isinstance(value, (dict, list, set)) and any(map(_is_users_object, _parts(value)))


def _parts(value: Any) -> Iterator[Any]:
    yield from islice(value, MOST_ITEMS)
    if isinstance(value, dict):
        yield from islice(value.values(), MOST_ITEMS)


def _is_users_object(thing: Any) -> bool:
    return _is_users(thing) if isinstance(thing, DEFINITIONS) else _is_users(type(thing))


def _is_of(value: Any, place: _Place) -> bool:
    """Whether a definition is a library's: imported late, or bound anew by itself."""
    inner = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
    return _package(inner) == _package(place.holder) or not _is_users(inner)


def _is_users(thing: Any) -> bool:
    """Whether a definition is the notebook's, or of a module beside it."""
    module = getattr(thing, "__module__", None)
    return module == "__main__" or (isinstance(module, str) and is_beside(module, sys.modules.get(module)))
