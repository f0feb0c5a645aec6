"""A hash of any object by its structure, the same in every process where the object says the same.

Objects are taken apart as pickling would take them apart (`__reduce_ex__`), but nothing is written: addresses, the order
of sets and of interning, and what only a process knows (locks, open files, weak references) do not count. What is long
is looked at in places, chosen by its length alone, so that two looks are at the same places.
"""

from __future__ import annotations

import io
import marshal
import sys
import threading
import time
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import blake3

from colab_guard.state import codes

ATOMS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented))
PLAIN_ITEMS = frozenset({bool, int, float, str, bytes, type(None)})
LONG = 10_000
"""Items of a container above which it is looked at in places, unless all of them are plain."""
WHOLE_BYTES = 256 * 2**20
"""Bytes of a buffer up to which all of it is hashed (0.05 to 0.1 s)."""
MOST_BYTES = 2**30
"""Bytes of all buffers of one value that are hashed whole; those that come later are looked at in places."""
PLACES, PLACE_BYTES = 64, 64 * 1024
ROWS = 20_000
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


class CannotTell(Exception):
    """The object cannot be compared between processes; the text says why."""


class Structure:
    """One look at one object. `classes` are the notebook's classes that were met, `sampled` whether places were skipped."""

    def __init__(self, until: float = float("inf")) -> None:
        self.sampled = False
        self.classes: dict[str, type] = {}
        self.functions: dict[str, types.FunctionType] = {}
        self._hash = blake3.blake3()
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []
        self._until = until
        self._room = MOST_BYTES

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

    def _put(self, *words: object) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self._hash.update(len(data).to_bytes(8, "little"))
            self._hash.update(data)

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

    # memory

    def _memory(self, value: Any, depth: int) -> bool:
        torch, numpy, pandas = (sys.modules.get(name) for name in ("torch", "numpy", "pandas"))
        if torch is not None and isinstance(value, torch.Tensor):
            self._tensor(torch, value, depth)
        elif torch is not None and isinstance(value, torch.Generator):
            self._feed(value.get_state(), depth + 1)
        elif numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
            self._array(numpy, value, depth)
        elif pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series, pandas.Index)):
            self._frame(pandas, value, depth)
        elif _is_hub_dataset(value):
            self._put(value._fingerprint)
        else:
            return False
        return True

    def _tensor(self, torch: Any, value: Any, depth: int) -> None:
        self._put(value.dtype, tuple(value.shape), value.device.type, value.requires_grad)
        value = value.detach()
        if value.layout is not torch.strided or value.is_quantized or value.device.type == "meta":
            raise CannotTell("it is a sparse, quantized or meta tensor")
        flat = value.contiguous().reshape(-1)
        if flat.is_conj() or flat.is_neg():
            flat = flat.resolve_conj().resolve_neg()
        raw = flat.view(torch.uint8) if flat.numel() else flat.new_empty(0, dtype=torch.uint8)
        if raw.device.type != "cpu" and not self._fits(raw.numel()):
            # only the places leave the device
            raw = torch.cat([raw[start : start + PLACE_BYTES] for start in _places(raw.numel())])
        self._bytes(memoryview(raw.cpu().numpy()))

    def _array(self, numpy: Any, value: Any, depth: int) -> None:
        self._put(value.dtype, value.shape)
        if value.dtype.hasobject:
            self._sequence(value.reshape(-1).tolist(), depth)
            return
        if value.nbytes > WHOLE_BYTES and not value.flags.c_contiguous:
            self.sampled = True
            value = value.reshape(-1)[:: value.size // (PLACES * 1024) + 1] if value.flags.forc else value[:1]
        array = numpy.ascontiguousarray(value)
        self._bytes(memoryview(array.reshape(-1).view(numpy.uint8)) if array.size else memoryview(b""))

    def _frame(self, pandas: Any, value: Any, depth: int) -> None:
        self._put(value.shape, list(value.columns) if value.ndim > 1 else value.name)
        self._put(*map(str, value.dtypes) if value.ndim > 1 else [value.dtype])
        if len(value) > ROWS:
            self.sampled = True
            step = len(value) // ROWS + 1
            value = value[::step] if isinstance(value, pandas.Index) else value.iloc[::step]
        if isinstance(value, pandas.Index):
            hashes = pandas.util.hash_array(value.to_numpy())
        else:
            try:
                hashes = pandas.util.hash_pandas_object(value, index=True).to_numpy()
            except TypeError:  # lists and dictionaries inside
                self._sequence(value.reset_index().to_numpy().reshape(-1).tolist(), depth)
                return
        self._bytes(memoryview(hashes).cast("B"))

    def _bytes(self, data: memoryview) -> None:
        self._put(data.nbytes)
        if self._fits(data.nbytes):
            self._room -= data.nbytes
            self._hash.update(data)
            return
        for start in _places(data.nbytes):
            self._hash.update(data[start : start + PLACE_BYTES])

    def _fits(self, nbytes: int) -> bool:
        """Whether so many bytes are hashed whole; what is no longer than its places always is."""
        if nbytes <= PLACES * PLACE_BYTES or (nbytes <= WHOLE_BYTES and nbytes <= self._room):
            return True
        self.sampled = True
        return False

    # definitions

    def _definition(self, value: Any, depth: int) -> bool:
        if isinstance(value, types.ModuleType):
            self._put(value.__name__)
        elif isinstance(value, type):
            if codes.is_notebooks(value):
                self.classes[value.__qualname__] = value
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
        if codes.is_notebooks(type(value)):
            self.classes[type(value).__qualname__] = type(value)
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


def _is_hub_dataset(value: Any) -> bool:
    return type(value).__module__.startswith("datasets.") and isinstance(getattr(value, "_fingerprint", None), str)


def _places(nbytes: int) -> Iterator[int]:
    """Where to look in a long buffer: evenly, the first and the last bytes included."""
    last = nbytes - PLACE_BYTES
    return (last * number // (PLACES - 1) for number in range(PLACES))
