"""A hash of any object by its structure, the same in every process where the object says the same.

Objects are taken apart as pickling would take them apart (`__reduce_ex__`), but nothing is written: addresses, the order
of sets and of interning, and what only a process knows (locks, open files, weak references) do not count. What is long
is looked at in places, chosen by its length alone, so that two looks are at the same places.
"""

from __future__ import annotations

import io
import marshal
import threading
import time
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from colab_guard.state import codes
from colab_guard.state.memory import CannotTell, Memory

ATOMS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented))
PLAIN_ITEMS = frozenset({bool, int, float, str, bytes, type(None)})
LONG = 10_000
"""Items of a container above which it is looked at in places, unless all of them are plain."""
MOST_OBJECTS = 100_000
DEEPEST = 150
OF_THIS_PROCESS = frozenset({"matplotlib", "tqdm", "os", "logging", "IPython", "ipykernel", "ipywidgets", "traitlets", "zmq"})
"""Packages whose objects (figures, bars, the environment, loggers) say more of their process than of the work."""
PROCESS_ONLY: tuple[type, ...] = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Thread,
    threading.Event,
    threading.Condition,
    io.IOBase,
    weakref.ReferenceType,
    *weakref.ProxyTypes,
    types.FrameType,
    types.TracebackType,
)


class Structure(Memory):
    """One look at one object. `classes` are the notebook's classes that were met, `sampled` whether places were skipped."""

    def __init__(self, until: float = float("inf")) -> None:
        super().__init__()
        self.classes: dict[str, type] = {}
        self.functions: dict[str, types.FunctionType] = {}
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []
        self._until = until

    def look_at(self, value: Any) -> str:
        """The hash; CannotTell where there is none."""
        try:
            self._feed(value, 0)
        except (CannotTell, MemoryError):
            raise
        except RecursionError:
            raise CannotTell("it is nested too deep") from None
        except Exception as error:  # any class may fail in any way when it is taken apart
            raise CannotTell(f"{type(error).__name__}: {error}".split("\n")[0][:120]) from error
        return str(self._hash.hexdigest(16))

    def entry(self, key: Any, value: Any) -> str:
        """The short hash of one entry of a table, by itself."""
        part = Structure(self._until)
        found = part.look_at([key, value])[:16]
        self.sampled = self.sampled or part.sampled
        return found

    def _feed(self, value: Any, depth: int) -> None:
        kind = type(value)
        if kind in ATOMS:
            self._put(kind.__name__, value if kind in (str, bytes) else repr(value))
            return
        if id(value) in self._seen:
            self._put("again", self._seen[id(value)])
            return
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        if depth > DEEPEST:
            raise CannotTell("it is nested too deep")
        if len(self._seen) > MOST_OBJECTS:
            raise CannotTell(f"it holds more than {MOST_OBJECTS:,} objects")
        if time.monotonic() > self._until:
            raise CannotTell("looking at it takes too long")
        self._put(kind.__module__, kind.__qualname__)
        for feed in (self._container, self._memory, self._definition, self._process_only):
            if feed(value, depth):
                return
        self._taken_apart(value, depth)

    # containers

    def _container(self, value: Any, depth: int) -> bool:
        kind = type(value)
        if kind in (list, tuple, deque):
            self._sequence(value, depth)
        elif kind is dict:
            self._mapping(value, depth)
        elif kind in (set, frozenset):
            self._set(value)
        elif kind in (bytearray, memoryview):
            self._bytes(memoryview(value).cast("B"))
        elif kind in (range, slice):
            self._put(repr(value))
        else:
            return False
        return True

    def _sequence(self, value: Any, depth: int) -> None:
        self._put(len(value))
        if len(value) > LONG and type(value) is not deque:
            if set(map(type, value)) <= PLAIN_ITEMS:
                self._put(marshal.dumps(value, 0))  # version 0 knows no references: equal items, equal bytes
                return
            self.sampled = True
            value = value[:: len(value) // LONG + 1]
        for item in value:
            self._feed(item, depth + 1)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> None:
        self._put(len(value))
        items: Iterable[tuple[Any, Any]] = value.items()
        if len(value) > LONG:
            self.sampled = True
            items = islice(items, 0, None, len(value) // LONG + 1)
        for key, item in items:
            self._feed(key, depth + 1)
            self._feed(item, depth + 1)

    def _set(self, value: Iterable[Any]) -> None:
        found = []
        for item in value:
            part = Structure(self._until)
            found.append(part.look_at(item))
            self.sampled = self.sampled or part.sampled
        self._put(len(found), "".join(sorted(found)))

    # definitions

    def _definition(self, value: Any, depth: int) -> bool:
        if isinstance(value, types.ModuleType):
            self._put(value.__name__)
        elif isinstance(value, type):
            self._meet(value)
            self._put(value.__module__, value.__qualname__)
        elif isinstance(value, types.FunctionType):
            self._function(value, depth)
        elif isinstance(value, (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)):
            self._put(value.__qualname__)
            owner = getattr(value, "__self__", None)
            if owner is not None and not isinstance(owner, types.ModuleType):
                self._feed(owner, depth + 1)
        elif isinstance(value, types.MethodType):
            self._feed(value.__func__, depth + 1)
            self._feed(value.__self__, depth + 1)
        elif isinstance(value, types.CodeType):
            self._put(repr(codes._instructions(value)))
        else:
            return False
        return True

    def _function(self, value: types.FunctionType, depth: int) -> None:
        self._put(value.__module__, value.__qualname__)
        if not codes.is_notebooks(value):
            return
        self.functions[value.__qualname__] = value
        for part in (value.__defaults__, value.__kwdefaults__):
            self._feed(part, depth + 1)
        for cell in value.__closure__ or ():
            try:
                self._feed(cell.cell_contents, depth + 1)
            except ValueError:
                self._put("empty")

    def _process_only(self, value: Any, depth: int) -> bool:
        if isinstance(value, PROCESS_ONLY) or type(value).__module__.split(".")[0] in OF_THIS_PROCESS:
            return True
        if isinstance(value, (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)):
            raise CannotTell(f"a running {type(value).__name__} cannot be looked into")
        return False

    # everything else

    def _taken_apart(self, value: Any, depth: int) -> None:
        self._meet(type(value))
        reduced = _reduction(value)
        if isinstance(reduced, str):
            self._put(reduced)
            return
        self._alive.append(reduced)
        state, items, pairs = (*reduced[2:5], None, None, None)[:3]
        self._feed(reduced[0], depth + 1)
        for part in reduced[1]:
            self._feed(part, depth + 1)
        self._feed(state, depth + 1)
        self._in_places(items, depth)
        self._in_places(pairs, depth)

    def _meet(self, kind: type) -> None:
        if codes.is_users(kind):
            self.classes[kind.__qualname__] = kind

    def _in_places(self, items: Iterator[Any] | None, depth: int) -> None:
        for number, item in enumerate(items or ()):
            if number > LONG:
                self.sampled = True
                return
            self._feed(item, depth + 1)


def _reduction(value: Any) -> Any:
    import copyreg

    reduce: Callable[[Any], Any] | None = copyreg.dispatch_table.get(type(value))
    return reduce(value) if reduce is not None else value.__reduce_ex__(4)
