"""How large values are: arrays, tensors and tables by their memory, everything else by a bounded walk. Changes nothing.

Memory that several values look into is counted once, for the first: models come before optimizers, and data before what
refers to it.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_OBJECTS = 200_000
"""Objects that are looked at, of all values together (about 0.2 s)."""
NOT_ENTERED = (types.ModuleType, type, types.BuiltinFunctionType, types.CodeType, types.FrameType, types.TracebackType)


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes, at least; `whole` says whether all of the value was looked at, `objects` how many objects that were."""

    nbytes: int
    objects: int
    whole: bool = True


def sizes(names: Mapping[str, Any], namespace: Mapping[str, Any]) -> dict[str, Size]:
    """Sizes of values by their names; `namespace` (to which functions refer) is not entered."""
    seen: set[Any] = {id(namespace)}
    found: dict[str, Size] = {}
    for name in sorted(names, key=lambda name: (_order(names[name]), name)):
        found[name] = _size(names[name], seen)
    return found


def _order(value: Any) -> int:
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.nn.Module):
        return 0
    if torch is not None and isinstance(value, torch.Tensor):
        return 1
    return 1 if numpy is not None and isinstance(value, numpy.ndarray) else 2


def _size(value: Any, seen: set[Any]) -> Size:
    todo = [value]
    nbytes = objects = 0
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, NOT_ENTERED):
            continue
        if len(seen) >= MOST_OBJECTS:
            return Size(nbytes, objects, whole=False)
        seen.add(id(thing))
        objects += 1
        memory = _memory(thing)
        if memory is None:
            nbytes += sys.getsizeof(thing, 64)
            todo.extend(_below(thing))
            continue
        place, length = memory
        if place not in seen:
            seen.add(place)
            nbytes += length
        grad = getattr(thing, "grad", None) if hasattr(thing, "requires_grad") and getattr(thing, "is_leaf", False) else None
        if grad is not None:
            todo.append(grad)
    return Size(nbytes, objects)


def _below(thing: Any) -> Iterator[Any]:
    if isinstance(thing, types.FunctionType):
        yield from (thing.__closure__ or (), thing.__defaults__ or (), thing.__dict__)
    elif not isinstance(thing, (str, bytes, int, float, complex)):
        yield from gc.get_referents(thing)


def _memory(thing: Any) -> tuple[Any, int] | None:
    """Which memory a tensor, array or table looks into, and how much; None for other objects."""
    torch, numpy, pandas = (sys.modules.get(name) for name in ("torch", "numpy", "pandas"))
    if torch is not None and isinstance(thing, torch.Tensor):
        if thing.layout is not torch.strided or thing.device.type == "meta":
            return ("sparse", id(thing)), 0
        storage = thing.untyped_storage()
        try:
            address = storage.data_ptr() if storage.nbytes() else id(thing)
        except RuntimeError:  # a tensor without memory: fake, or functional
            address = id(thing)
        return (str(thing.device), address), storage.nbytes()
    if numpy is not None and isinstance(thing, numpy.ndarray):
        if thing.dtype.hasobject:
            return ("array", id(thing)), thing.nbytes + sum(sys.getsizeof(part, 64) for part in thing.flat[:1000])
        base = thing
        while isinstance(base.base, numpy.ndarray):
            base = base.base
        return ("cpu", base.ctypes.data if base.nbytes else id(thing)), base.nbytes
    if pandas is not None and isinstance(thing, (pandas.DataFrame, pandas.Series)):
        used = thing.memory_usage(index=True)
        return ("table", id(thing)), int(used if isinstance(thing, pandas.Series) else used.sum())
    return None
