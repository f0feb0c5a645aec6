"""Whether two sets of names hold the same: the same bits, and the same objects shared in the same way.

Two graphs of objects are walked side by side. What is one object on one side must be one object on the other; memory
that overlaps on one side must overlap on the other. A tensor that had a spent graph may have lost it.
"""

from __future__ import annotations

import enum
import functools
import io
import struct
import sys
import types
import weakref
from collections import OrderedDict, deque
from pathlib import PurePath
from typing import Any

ATOMS = (str, bytes, int, bool, type(None), complex, range, slice, types.CodeType)
PASSED_BY = ("_BaseDataLoaderIter", "LoaderIterator", "OutStream", "InteractiveShell", "Thread", "FontProperties", "Canvas")
MOST = 12


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What differs between two mappings of names to values, in words; at most `MOST`."""
    walk = _Walk()
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            walk.found.append(f"{name} is {'missing' if name in one else 'there but should not be'}")
        else:
            walk.compare(one[name], other[name], name)
    walk.memory()
    return walk.found[:MOST]


class _Walk:
    def __init__(self) -> None:
        self.found: list[str] = []
        self._pairs: dict[int, tuple[Any, Any, str]] = {}
        self._back: dict[int, int] = {}
        self._spans: list[tuple[tuple[int, int], tuple[int, int], str]] = []
        self._alive: list[Any] = []

    def compare(self, a: Any, b: Any, path: str) -> None:
        todo = [(a, b, path)]
        while todo and len(self.found) < MOST:
            todo += reversed(list(self._step(*todo.pop())))

    def memory(self) -> None:
        for number, (a, b, path) in enumerate(self._spans):
            for c, d, other in self._spans[:number]:
                if _overlap(a, c) != _overlap(b, d):
                    self.found.append(f"{path} and {other} share memory on one side only")

    def _differ(self, path: str, a: Any, b: Any) -> list[Any]:
        self.found.append(f"{path}: {_short(a)} became {_short(b)}")
        return []

    def _step(self, a: Any, b: Any, path: str) -> list[tuple[Any, Any, str]]:
        if _kind(a) != _kind(b):
            return self._differ(path, a, b)
        if isinstance(a, float):
            return [] if struct.pack("d", a) == struct.pack("d", b) else self._differ(path, a, b)
        if isinstance(a, (*ATOMS, enum.Enum)) and not hasattr(a, "__dict__"):
            return [] if a == b else self._differ(path, a, b)
        if isinstance(a, enum.Enum):
            return [] if a.name == b.name else self._differ(path, a, b)
        if isinstance(a, types.ModuleType):
            return [] if a is b else self._differ(path, a, b)
        if not isinstance(a, (tuple, frozenset, types.MethodType)):
            known = self._pairs.get(id(a))
            if known is not None:
                return [] if known[1] is b else self._differ(f"{path} (the same object as {known[2]})", a, b)
            if id(b) in self._back and self._back[id(b)] != id(a):
                return self._differ(f"{path} (one object where there were two)", a, b)
            self._pairs[id(a)] = (a, b, path)
            self._back[id(b)] = id(a)
        self._alive.append((a, b))
        return self._parts(a, b, path)

    def _parts(self, a: Any, b: Any, path: str) -> list[tuple[Any, Any, str]]:
        torch, numpy, pandas = (sys.modules.get(name) for name in ("torch", "numpy", "pandas"))
        if torch is not None and isinstance(a, torch.Tensor):
            return self._tensor(a, b, path)
        if torch is not None and isinstance(a, torch.Generator):
            return [] if torch.equal(a.get_state(), b.get_state()) else self._differ(path, a, b)
        if numpy is not None and isinstance(a, numpy.ndarray):
            return self._array(a, b, path)
        if numpy is not None and isinstance(a, (numpy.generic, numpy.dtype)):
            return [] if repr(a) == repr(b) else self._differ(path, a, b)
        if numpy is not None and isinstance(a, numpy.random.Generator):
            return [(a.bit_generator.state, b.bit_generator.state, f"{path}.state")]
        if numpy is not None and isinstance(a, numpy.random.RandomState):
            return [(a.get_state(), b.get_state(), f"{path}.state")]
        if pandas is not None and isinstance(a, (pandas.DataFrame, pandas.Series, pandas.Index)):
            return [] if a.equals(b) and repr(a) == repr(b) else self._differ(path, a, b)
        if isinstance(a, PurePath):
            return [(str(a), str(b), path)]
        if any(part in base.__name__ for base in type(a).__mro__ for part in PASSED_BY):
            return []
        return self._plain(a, b, path)

    def _plain(self, a: Any, b: Any, path: str) -> list[tuple[Any, Any, str]]:
        if isinstance(a, types.FunctionType):
            return self._function(a, b, path)
        if isinstance(a, types.MethodType):
            return [(a.__func__, b.__func__, path), (a.__self__, b.__self__, f"{path}.__self__")]
        if isinstance(a, types.CellType):
            return [(_content(a), _content(b), path)]
        if isinstance(a, functools.partial):
            return [((a.func, a.args, a.keywords), (b.func, b.args, b.keywords), path)]
        if isinstance(a, types.BuiltinFunctionType):
            bound = not isinstance(a.__self__, (types.ModuleType, type(None)))
            return [(a.__name__, b.__name__, path), *([(a.__self__, b.__self__, f"{path}.__self__")] if bound else [])]
        if isinstance(a, weakref.ref):
            # the hooks of a tensor that has none left
            return [(a() or None, b() or None, f"{path}()")] if isinstance(a(), OrderedDict) else [(a(), b(), f"{path}()")]
        if isinstance(a, type):
            return self._class(a, b, path)
        if isinstance(a, types.GeneratorType):
            locals_a, locals_b = (g.gi_frame.f_locals if g.gi_frame else None for g in (a, b))
            return [] if (locals_a is None) == (locals_b is None) else self._differ(path, a, b)
        if isinstance(a, io.IOBase):
            facts = [(f.closed, getattr(f, "name", ""), getattr(f, "mode", ""), f.closed or (f.seekable() and f.tell())) for f in (a, b)]
            return [(facts[0], facts[1], path)]
        if isinstance(a, (set, frozenset)):
            return [(sorted(map(repr, a)), sorted(map(repr, b)), path)]
        parts = self._attributes(a, b, path)
        if isinstance(a, dict):
            return [*parts, *self._dict(a, b, path)]
        if isinstance(a, (list, tuple, deque)):
            if len(a) != len(b):
                return self._differ(f"len({path})", len(a), len(b))
            return [*parts, *((x, y, f"{path}[{n}]") for n, (x, y) in enumerate(zip(a, b, strict=True)))]
        if isinstance(a, (*ATOMS, float)):
            return parts if a == b else self._differ(path, a, b)
        return parts if parts else self._reduced(a, b, path)

    def _dict(self, a: dict[Any, Any], b: dict[Any, Any], path: str) -> list[tuple[Any, Any, str]]:
        if len(a) != len(b):
            return self._differ(f"len({path})", sorted(map(str, a)), sorted(map(str, b)))
        keys = [(x, y, f"{path}'s key {n}") for n, (x, y) in enumerate(zip(a, b, strict=True))]
        return [*keys, *((x, y, f"{path}[{_short(k)}]") for k, x, y in zip(a, a.values(), b.values(), strict=True))]

    def _attributes(self, a: Any, b: Any, path: str) -> list[tuple[Any, Any, str]]:
        found = []
        if hasattr(a, "__dict__") or hasattr(b, "__dict__"):
            mine, theirs = ({k: v for k, v in vars(x).items() if not k.startswith("__")} for x in (a, b))
            if set(mine) != set(theirs):
                return self._differ(f"{path}'s attributes", sorted(set(mine) - set(theirs)), sorted(set(theirs) - set(mine)))
            found += [(mine[name], theirs[name], f"{path}.{name}") for name in mine]
        for cls in type(a).__mro__:
            for name in _slots(cls):
                if hasattr(a, name) or hasattr(b, name):
                    found.append((getattr(a, name, None), getattr(b, name, None), f"{path}.{name}"))
        return found

    def _reduced(self, a: Any, b: Any, path: str) -> list[tuple[Any, Any, str]]:
        try:
            left, right = a.__reduce_ex__(4), b.__reduce_ex__(4)
        except (TypeError, AttributeError):
            return []
        if isinstance(left, str):
            return [(left, right, path)]
        return [(list(left[1:3]), list(right[1:3]), f"{path}'s state")]

    def _function(self, a: Any, b: Any, path: str) -> list[tuple[Any, Any, str]]:
        if getattr(a, "_wrapped_by_lr_sched", False):
            return []
        if a.__code__.co_code != b.__code__.co_code:
            return self._differ(f"{path}'s code", a, b)
        parts = [(a.__closure__, b.__closure__, "closure"), (a.__defaults__, b.__defaults__, "defaults")]
        parts += [(a.__kwdefaults__, b.__kwdefaults__, "defaults"), (a.__dict__, b.__dict__, "attributes")]
        return [(x, y, f"{path}'s {what}") for x, y, what in parts]

    def _class(self, a: type, b: type, path: str) -> list[tuple[Any, Any, str]]:
        if a.__module__ != "__main__":
            return [] if a is b or getattr(sys.modules.get(a.__module__), a.__qualname__, None) is not a else self._differ(path, a, b)
        mine, theirs = ({k: v for k, v in vars(c).items() if not k.startswith("__")} for c in (a, b))
        mine.pop("_abc_impl", None), theirs.pop("_abc_impl", None)
        if set(mine) != set(theirs):
            return self._differ(f"{path}'s attributes", sorted(mine), sorted(theirs))
        return [(mine[k], theirs[k], f"{path}.{k}") for k in mine if not hasattr(type(mine[k]), "__get__") or callable(mine[k])]

    def _tensor(self, a: Any, b: Any, path: str) -> list[tuple[Any, Any, str]]:
        import torch

        facts = [(t.dtype, t.layout, tuple(t.shape), t.device, type(t), t.is_leaf and t.requires_grad) for t in (a, b)]
        if facts[0] != facts[1]:
            return self._differ(path, *facts)
        if a.layout is not torch.strided:
            return [(a.detach().to_dense(), b.detach().to_dense(), path)]
        if a.stride() != b.stride() or a.storage_offset() != b.storage_offset():
            return self._differ(f"{path}'s strides", a.stride(), b.stride())
        if not torch.equal(_bits(a), _bits(b)):
            return self._differ(path, a, b)
        places = [(t.untyped_storage().data_ptr(), t.untyped_storage().data_ptr() + t.untyped_storage().nbytes()) for t in (a, b)]
        self._spans.append((places[0], places[1], path))
        parts = [(dict(a.__dict__), dict(b.__dict__), f"{path}'s attributes")]
        if a.is_leaf:
            parts += [(a.grad, b.grad, f"{path}.grad")]
            parts += [(a._backward_hooks or None, b._backward_hooks or None, f"{path}'s hooks")]
        return parts

    def _array(self, a: Any, b: Any, path: str) -> list[tuple[Any, Any, str]]:
        if (a.dtype, a.shape, a.strides, a.flags.writeable) != (b.dtype, b.shape, b.strides, b.flags.writeable):
            return self._differ(path, (a.dtype, a.shape, a.strides), (b.dtype, b.shape, b.strides))
        if a.dtype.hasobject:
            return [(a.tolist(), b.tolist(), path)]
        if a.dtype.names and a.tolist() == b.tolist():
            return []  # what lies between the fields means nothing
        if a.tobytes() != b.tobytes():
            return self._differ(path, a, b)
        from colab_guard.state.arrays import span

        self._spans.append((span(a), span(b), path))
        return []


def _kind(thing: Any) -> str:
    kind = type(thing)
    names = {"LoaderIterator": "loader", "_SingleProcessDataLoaderIter": "loader", "_MultiProcessingDataLoaderIter": "loader"}
    return names.get(kind.__name__, f"{kind.__module__}.{kind.__qualname__}")


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if not name.startswith("__"))


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "an empty cell"


def _bits(tensor: Any) -> Any:
    import torch

    plain = tensor.detach().resolve_conj().resolve_neg().contiguous().as_subclass(torch.Tensor)
    return torch.view_as_real(plain).nan_to_num() if plain.is_complex() else plain.reshape(-1).view(torch.uint8)


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _short(thing: Any) -> str:
    return repr(thing)[:80].replace("\n", " ")
