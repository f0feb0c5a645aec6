"""What a notebook holds, as text: the same for two processes exactly where values, types and aliases are the same."""

from __future__ import annotations

import hashlib
import itertools
import pickle
import random
import re
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

ATOMS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), types.BuiltinFunctionType, types.ModuleType)
HIDDEN = frozenset({"In", "Out", "get_ipython", "exit", "quit", "open"})
MOST_ITEMS = 4
FREE = r"free variable \1 where it is not associated with a value in enclosing scope"


def describe(names: dict[str, Any]) -> dict[str, str]:
    """Every name of the user with what it holds; what iterators would still give is asked last, since that uses them up."""
    taken = Description()
    mine = {name: value for name, value in sorted(names.items()) if not name.startswith("_") and name not in HIDDEN}
    found = {name: taken.of(value) for name, value in mine.items()}
    found["<memory>"] = taken.memory()
    drawn = pickle.dumps((random.getstate(), np.random.get_state(legacy=False)))
    found["<random>"] = hashlib.sha256(drawn).hexdigest()
    for number, iterator in enumerate(taken.iterators):
        found[f"<iterator {number}>"] = taken.of(list(_rest(iterator)))
    return found


def _rest(iterator: Any) -> Iterator[Any]:
    try:
        yield from itertools.islice(iterator, MOST_ITEMS)
    except Exception as error:
        yield said(error)


def said(error: Exception) -> str:
    """An error's type and text. A variable without a value that functions share is one of around in resumed code."""
    if isinstance(error, UnboundLocalError):
        return re.sub(r"local variable (\S+) where it is not associated with a value", FREE, f"NameError: {error}")
    return f"{type(error).__name__}: {error}"


class Description:
    """One look at many values: what is met again is named by its number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []
        self._arrays: list[np.ndarray] = []
        self.iterators: list[Any] = []

    def of(self, value: Any) -> str:
        if isinstance(value, ATOMS):
            return f"module {value.__name__}" if isinstance(value, types.ModuleType) else repr(value)
        if isinstance(value, np.generic):
            return f"{value.dtype}({value!r})"
        if type(value) is tuple:
            return f"({', '.join(map(self.of, value))})"
        if id(value) in self._numbers:
            return f"#{self._numbers[id(value)]}"
        number = self._numbers[id(value)] = len(self._numbers)
        self._kept.append(value)
        return f"{type(value).__name__}#{number}{self._inside(value)}"

    def _inside(self, value: Any) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(self.of, value))}]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self.of(k)}: {self.of(v)}" for k, v in value.items()) + "}"
        if isinstance(value, (set, frozenset)):
            return "{" + ", ".join(sorted(map(repr, value))) + "}"
        if isinstance(value, np.ndarray):
            self._arrays.append(value)
            return f"({value.dtype}, {value.shape}, {value.strides}, {value.tobytes().hex()})"
        if isinstance(value, np.random.Generator):
            return repr(value.bit_generator.state)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, BaseException):
            return f"({self.of(value.args)}, {self.of(value.__cause__)})"
        if isinstance(value, types.MethodType):
            return f"({self.of(value.__func__)}, {self.of(value.__self__)})"
        if isinstance(value, Iterator):
            self.iterators.append(value)
            return ""
        if hasattr(value, "func"):  # a partial
            return f"({self.of(value.func)}, {self.of(value.args)}, {self.of(value.keywords)})"
        return self.of(dict(vars(value))) if type(value).__module__ == "__main__" else ""

    def _function(self, function: types.FunctionType) -> str:
        held = []
        for cell in function.__closure__ or ():
            try:
                held.append(self.of(cell.cell_contents))
            except ValueError:
                held.append("empty")
        code = function.__code__
        hidden = [name for name in (*code.co_varnames, *code.co_names) if name.startswith("_cg_")]
        facts = (function.__qualname__, code.co_firstlineno, code.co_name, code.co_qualname, hidden, function.__annotations__)
        return f"({facts}, {self.of(function.__defaults__)}, {held}, {self.of(function.__dict__)})"

    def _class(self, cls: type) -> str:
        if cls.__module__ != "__main__":
            return f"({cls.__qualname__})"
        return f"({cls.__qualname__}, {({k: self.of(v) for k, v in vars(cls).items() if not k.startswith('__')})})"

    def memory(self) -> str:
        """Which arrays share memory, and where in it each begins."""
        found = []
        for one, other in itertools.combinations(range(len(self._arrays)), 2):
            first, second = self._arrays[one], self._arrays[other]
            if np.shares_memory(first, second):
                start = [array.__array_interface__["data"][0] for array in (first, second)]
                found.append(f"{one} and {other}: {start[1] - start[0]}")
        return "; ".join(found)
