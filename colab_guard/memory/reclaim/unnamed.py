"""Tensors that no name of the notebook leads to: who holds them, looked for from the tensor outwards.

Each look asks the garbage collector once for all that refers to a set of things, which costs a pass over the heap; there
are few of them. The way ends at something that has a name: a module's global, a class, a function that closes over it, a
generator that waits, an error's traceback.
"""

from __future__ import annotations

import gc
import sys
import types
from typing import Any

from colab_guard.memory.reclaim.heavy import Walk, block_of

MOST_LOOKS = 8
MOST_ASKED = 64
MOST_REFERRERS = 4096
NOBODY = "nothing in Python (an autograd graph, or a library's own side)"


def unnamed(walk: Walk, least: int) -> list[tuple[int, str]]:
    """Bytes and words for what `walk` has not met, if it is more than `least` bytes in all; the largest tensors count."""
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    found: dict[tuple[str, int], tuple[int, Any]] = {}
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor) and id(thing) not in walk.seen]
    # a gradient is held by its tensor, on torch's own side
    owners = {id(thing.grad): thing for thing in tensors if thing.is_leaf and thing.grad is not None}
    for thing in tensors:
        block = block_of(thing)
        if block is not None and block.key not in walk.blocks:
            found[block.key] = (block.size, owners.get(id(thing), thing))
    if sum(size for size, _ in found.values()) <= least:
        return []
    largest = sorted(found.values(), key=lambda pair: -pair[0])[:MOST_ASKED]
    search = _Search([thing for _, thing in largest], {id(thing) for thing in (tensors, owners, found, largest, *largest)})
    del found, tensors, owners, thing
    sums: dict[str, int] = {}
    for number, (size, _) in enumerate(largest):
        words = search.end_of(number)
        sums[words] = sums.get(words, 0) + size
    return [(size, words) for words, size in sums.items() if size > least]


class _Search:
    """The ends of the ways outwards from `things`, found for all of them together."""

    def __init__(self, things: list[Any], own: set[int]) -> None:
        self._ends: dict[int, str] = {}
        self._as: dict[int, int] = {}
        """Things whose way leads over what another one's had met before: they end where that one does."""
        origins: dict[int, set[int]] = {}
        for number, thing in enumerate(things):
            origins.setdefault(id(thing), set()).add(number)
        seen = {*own, id(things), id(origins), id(self.__dict__)}
        level: list[Any] = list(things)
        for _ in range(MOST_LOOKS):
            level = self._outwards(level, origins, seen)
            if not level:
                return

    def end_of(self, number: int) -> str:
        for _ in range(len(self._as) + 1):
            if number in self._ends or number not in self._as:
                break
            number = self._as[number]
        return self._ends.get(number, NOBODY)

    def _way(self, number: int) -> set[int]:
        """`number`, and those that it already ends as; and those that end as it."""
        way = {number}
        while (number := self._as.get(number, -1)) not in way and number >= 0:
            way.add(number)
        return way | {n for n, other in self._as.items() if other in way}

    def _outwards(self, level: list[Any], origins: dict[int, set[int]], seen: set[int]) -> list[Any]:
        seen |= {id(level), *map(id, level)}
        above = gc.get_referrers(*level)
        seen.add(id(above))
        following: list[Any] = []
        own = sys._getframe()
        for holder in above[:MOST_REFERRERS]:
            met = origins.get(id(holder), set())
            if (id(holder) in seen and not met) or holder is own or _is_ours(holder):
                continue
            inside = {id(part) for part in gc.get_referents(holder)}
            for thing in level:
                if id(thing) in inside and id(holder) in seen:
                    self._as.update({n: min(met) for n in origins[id(thing)] - met if min(met) not in self._way(n)})
                elif id(thing) in inside:
                    self._met(holder, thing, origins, following)
        return [thing for thing in following if id(thing) not in seen]

    def _met(self, holder: Any, thing: Any, origins: dict[int, set[int]], following: list[Any]) -> None:
        numbers = {number for number in origins[id(thing)] if number not in self._ends}
        if not numbers:
            return
        words = _words(holder, thing)
        if words:
            self._ends.update(dict.fromkeys(numbers, words))
            return
        if id(holder) not in origins:
            following.append(holder)
        origins.setdefault(id(holder), set()).update(numbers)


def _is_ours(holder: Any) -> bool:
    own = __name__.rpartition(".")[0]
    return type(holder) is types.FrameType and str(holder.f_globals.get("__name__", "")).startswith(own)


def _words(holder: Any, thing: Any) -> str:
    """What `holder` is called; "" where the way goes on. Asked by type: proxies would answer for others."""
    kind = type(holder)
    if kind is dict and isinstance(name := holder.get("__name__"), str) and "__builtins__" in holder:
        return f"{name}.{_key(holder, thing)}"
    if issubclass(kind, type):
        return f"{holder.__module__}.{holder.__qualname__}.{_key(vars(holder), thing)}"
    if kind is types.FrameType:
        return f"a variable of {holder.f_code.co_qualname}(), kept by an error's traceback or by whoever looks at its frames"
    if kind in (types.GeneratorType, types.CoroutineType):
        return f"a variable of {holder.__qualname__}(), which waits"
    if kind is types.FunctionType and type(thing) is not dict:
        return f"{holder.__module__}.{holder.__qualname__}(), which closes over it"
    return ""


def _key(holder: Any, thing: Any) -> str:
    return next((str(name) for name, value in list(holder.items()) if value is thing), "...")
