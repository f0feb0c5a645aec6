"""Whether a value shares mutable objects, or memory, with what was captured."""

from __future__ import annotations

import bisect
import enum
import functools
import gc
import sys
import types
import weakref
from typing import Any

from colab_guard.state import arrays

WALK_LIMIT = 200_000
SHARED_BY_NATURE = (
    types.ModuleType,
    types.BuiltinFunctionType,
    types.CodeType,
    type,
    enum.Enum,
    weakref.ref,
)
ATOMS = (str, int, float, complex, bytes, bool, type(None), range, slice)
EVERYBODYS = ("torch.dtype", "torch.device", "torch.Size", "torch.layout", "torch.memory_format", "re.Pattern")
"""Immutable values that libraries hold once, beside `numpy.dtypes.*`, loggers and the like."""


class Shared:
    """What one capture reached: its mutable objects by identity, its memory by address."""

    def __init__(self, pickler: Any) -> None:
        self._memo = {key: entry[1] for key, entry in pickler.memo.copy().items()}
        self._namespace = pickler.live.namespace
        spans = sorted((b.address, b.address + b.nbytes) for b in pickler.blocks.by_place.values() if b.nbytes)
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in spans:
            if self._ends and start < self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def with_(self, value: Any) -> bool:
        """Walks what `value` refers to, not into globals; past the limit it says yes, which is the safe answer."""
        todo, seen = [value], set()
        while todo:
            thing = todo.pop()
            if id(thing) in seen or isinstance(thing, ATOMS) or thing is self._namespace:
                continue
            seen.add(id(thing))
            if len(seen) > WALK_LIMIT:
                return True
            if isinstance(thing, types.FunctionType):
                todo.extend((thing.__closure__ or (), thing.__defaults__, thing.__kwdefaults__, thing.__dict__))
                continue
            if isinstance(thing, SHARED_BY_NATURE) or _is_everybodys(type(thing)):
                continue
            if self._is_captured(thing) or self._in_memory(thing):
                return True
            todo.extend(gc.get_referents(thing))
        return False

    def _is_captured(self, thing: Any) -> bool:
        # immutable by themselves; what they hold is looked at in its turn
        if type(thing) in (tuple, frozenset, functools.partial, types.MethodType):
            return False
        return self._memo.get(id(thing)) is thing

    def _in_memory(self, thing: Any) -> bool:
        span = _span(thing)
        if span is None or span[0] >= span[1]:
            return False
        place = bisect.bisect_left(self._starts, span[1]) - 1
        return place >= 0 and span[0] < self._ends[place]


def _is_everybodys(kind: type) -> bool:
    module = kind.__module__
    if module in ("logging", "datetime", "decimal", "fractions", "pathlib", "numpy.dtypes", "_contextvars"):
        return True
    return f"{module}.{kind.__qualname__}" in EVERYBODYS


def _span(thing: Any) -> tuple[int, int] | None:
    """The address range that an array or tensor in host memory looks into."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(thing, numpy.ndarray):
        return arrays.span(thing)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, torch.Tensor) and thing.layout is torch.strided:
        if thing.device.type == "meta" or not thing.numel():
            return None
        storage = thing.untyped_storage()
        return storage.data_ptr(), storage.data_ptr() + storage.nbytes()
    return None
