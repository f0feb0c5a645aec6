"""What a notebook's names hold, as text that is equal in two kernels exactly where the values are, bit by bit.

Objects that can change are numbered in the order in which they are met, names in alphabetical order; who is met again is
written as a reference. So equal texts mean equal values and the same graph of aliases; arrays and tensors are numbered by the
memory that they lie in, so that views count as aliases too. Sets are written in the order of their elements' own digests,
because their own order follows the hash seed.

Iterators and generators are written last, by the items that they still give (`MOST_ITEMS` at most), which uses them up.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import io
import pathlib
import random
import re
import struct
import sys
import types
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

MOST_ITEMS = 40
MOST_OBJECTS = 400_000
HIDDEN = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})
ATOMS = (type(None), bool, int, str, bytes, complex, type(...), type(NotImplemented), range, slice, datetime.datetime, datetime.date, datetime.time)
ATOMS_TOO = (datetime.timedelta, decimal.Decimal, fractions.Fraction, pathlib.PurePath)
CLASS_NOISE = frozenset({"__dict__", "__weakref__", "__slotnames__", "__doc__", "__module__", "__qualname__", "_abc_impl", "__firstlineno__", "__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__"})


def namespace_digest(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Digests by name, of random state, and of the last value; `opaque` names types that could not be looked into."""
    writer = Writer()
    found: dict[str, Any] = {"(random) python": _sha(repr(random.getstate()))}
    if "numpy" in sys.modules:
        found["(random) numpy"] = _sha(repr(sys.modules["numpy"].random.get_state(legacy=False)))
    if "torch" in sys.modules:
        found["(random) torch"] = _sha(sys.modules["torch"].random.get_rng_state().numpy().tobytes())
    names = sorted(n for n in namespace if not n.startswith("_") and n not in HIDDEN)
    texts = {name: writer.text(namespace[name]) for name in names}
    texts["(value)"] = writer.text(namespace.get("_"))
    for label, iterator in writer.drained():
        texts[label] = iterator
    for name, text in texts.items():
        found[name] = text if len(text) < 2000 else f"{text[:1900]} … sha256 {_sha(text)}"
    found["opaque"] = sorted(writer.opaque)
    return found


def _sha(data: str | bytes) -> str:
    return hashlib.sha256(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data).hexdigest()


class Writer:
    """Writes objects as text; keeps the numbers of those met."""

    def __init__(self) -> None:
        self.opaque: set[str] = set()
        self._numbers: dict[int, int] = {}
        self._memory: dict[int, int] = {}
        self._alive: list[Any] = []
        self._iterators: list[Iterator[Any]] = []

    def text(self, thing: Any) -> str:
        out: list[str] = []
        self._write(thing, out)
        return "".join(out)

    def drained(self) -> Iterator[tuple[str, str]]:
        """What the iterators met still give; the last thing to be asked for."""
        for number, iterator in enumerate(self._iterators):
            out: list[str] = []
            try:
                for _ in range(MOST_ITEMS):
                    self._write(next(iterator), out)
                    out.append(", ")
            except StopIteration:
                out.append("end")
            except Exception as error:
                out.append(f"{type(error).__name__}: {error}")
            yield f"(iterator {number})", "".join(out)

    # inside: an explicit stack of generators, so that deep graphs need no deep recursion

    def _write(self, thing: Any, out: list[str]) -> None:
        stack = [self._parts(thing)]
        while stack:
            try:
                part = next(stack[-1])
            except StopIteration:
                stack.pop()
                continue
            if isinstance(part, _Text):
                out.append(part)
            else:
                stack.append(self._parts(part.thing))

    def _parts(self, thing: Any) -> Iterator[_Text | _See]:
        kind = type(thing)
        if kind is float:
            yield _Text(struct.pack(">d", thing).hex())
        elif kind in ATOMS or isinstance(thing, ATOMS_TOO):
            yield _Text(f"{kind.__name__}:{thing!r}")
        elif kind is tuple:
            yield from self._sequence("(", thing, ")")
        elif kind is frozenset:
            yield from self._unordered("frozenset", thing)
        elif isinstance(thing, types.ModuleType):
            yield _Text(f"module {thing.__name__}")
        elif isinstance(thing, enum.Enum):
            yield _Text(f"{kind.__qualname__}.{thing.name}")
        elif isinstance(thing, types.BuiltinFunctionType) and isinstance(thing.__self__, (types.ModuleType, type(None))):
            yield _Text(f"builtin {thing.__module__}.{thing.__qualname__}")
        elif isinstance(thing, type) and thing.__module__ != "__main__":
            yield _Text(f"class {thing.__module__}.{thing.__qualname__}")
        elif isinstance(thing, types.FunctionType) and thing.__module__ != "__main__" and "<locals>" not in thing.__qualname__ and "<lambda>" not in thing.__qualname__:
            yield _Text(f"function {thing.__module__}.{thing.__qualname__}")
        elif _is_array_scalar(thing):
            yield _Text(f"{kind.__name__}:{thing.dtype}:{thing.tobytes().hex()}")
        elif id(thing) in self._numbers:
            yield _Text(f"<see {self._numbers[id(thing)]}>")
        else:
            self._numbers[id(thing)] = number = len(self._numbers)
            self._alive.append(thing)
            if number > MOST_OBJECTS:
                raise RuntimeError(f"more than {MOST_OBJECTS} objects to digest")
            yield _Text(f"#{number} ")
            yield from self._object(thing)

    def _object(self, thing: Any) -> Iterator[_Text | _See]:
        kind = type(thing)
        name = f"{kind.__module__}.{kind.__qualname__}" if kind.__module__ != "builtins" else kind.__qualname__
        special = _SPECIAL.get(name) or next((_SPECIAL[n] for n in _base_names(kind) if n in _SPECIAL), None)
        if special is not None:
            yield _Text(f"{name} ")
            yield from special(self, thing)
        elif isinstance(thing, type):
            yield from self._class(thing)
        elif isinstance(thing, types.FunctionType):
            yield from self._function(thing)
        elif isinstance(thing, (io.IOBase, io.TextIOBase)):
            place = "closed" if thing.closed else _place(thing)
            text = thing.getvalue() if isinstance(thing, (io.StringIO, io.BytesIO)) and not thing.closed else ""
            yield _Text(f"{name} {getattr(thing, 'mode', '')} {place} {text!r}")
        elif isinstance(thing, Iterator) and not hasattr(thing, "__dict__"):
            # one that is used up may come back as another type of iterator that is
            self._iterators.append(thing)
            yield _Text(f"(iterator {len(self._iterators) - 1})")
        else:
            yield _Text(f"{name} ")
            yield from self._instance(thing)

    def _sequence(self, opening: str, things: Any, closing: str) -> Iterator[_Text | _See]:
        yield _Text(opening)
        for thing in things:
            yield _See(thing)
            yield _Text(", ")
        yield _Text(closing)

    def _mapping(self, items: Any) -> Iterator[_Text | _See]:
        yield _Text("{")
        for key, value in items:
            yield _See(key)
            yield _Text(": ")
            yield _See(value)
            yield _Text(", ")
        yield _Text("}")

    def _unordered(self, name: str, things: Any) -> Iterator[_Text | _See]:
        """The elements in the order of what each is by itself."""
        ordered = sorted(things, key=lambda thing: Writer().text(thing))
        yield from self._sequence(f"{name}(", ordered, ")")

    def _named(self, **parts: Any) -> Iterator[_Text | _See]:
        yield from self._mapping((name, value) for name, value in parts.items())

    # kinds of objects

    def _class(self, thing: type) -> Iterator[_Text | _See]:
        yield _Text(f"class {thing.__qualname__} ")
        yield from self._sequence("(", thing.__bases__, ")")
        own = {name: value for name, value in vars(thing).items() if name not in CLASS_NOISE and not isinstance(value, (types.GetSetDescriptorType, types.MemberDescriptorType))}
        yield from self._mapping(sorted(own.items()))

    def _function(self, thing: types.FunctionType) -> Iterator[_Text | _See]:
        yield _Text(f"function {thing.__qualname__} {_code(thing.__code__)} ")
        yield from self._named(defaults=thing.__defaults__, kwdefaults=thing.__kwdefaults__, own=thing.__dict__)
        yield from self._sequence("closure(", thing.__closure__ or (), ")")

    def _instance(self, thing: Any) -> Iterator[_Text | _See]:
        kind = type(thing)
        if isinstance(thing, (list, collections.deque)):
            yield from self._sequence("[", list.__iter__(thing) if isinstance(thing, list) else thing, "]")
        elif isinstance(thing, tuple):
            yield from self._sequence("(", tuple.__iter__(thing), ")")
        elif isinstance(thing, (set, frozenset)):
            yield from self._unordered("", thing)
        elif isinstance(thing, dict):
            # an OrderedDict has an order of its own, which is the one that people see
            kind = collections.OrderedDict if isinstance(thing, collections.OrderedDict) else dict
            yield from self._mapping(kind.items(thing))
        elif isinstance(thing, (str, bytes, int)):
            yield _Text(repr(kind.__mro__[-2].__repr__(thing)))
        elif isinstance(thing, float):
            yield _Text(struct.pack(">d", thing).hex())
        elif isinstance(thing, bytearray):
            yield _Text(bytes(thing).hex())
        if isinstance(thing, collections.deque):
            yield _Text(f"maxlen {thing.maxlen}")
        if isinstance(thing, collections.defaultdict):
            yield _See(thing.default_factory)
        if isinstance(thing, BaseException):
            yield from self._sequence("args(", thing.args, ")")
        fields = getattr(thing, "__dict__", None)
        slots = {name: getattr(thing, name) for base in kind.__mro__ for name in _slots(base) if hasattr(thing, name)}
        if fields or slots:
            yield from self._mapping({**(fields or {}), **slots}.items())
        if fields is None and not slots and not isinstance(thing, (list, collections.deque, tuple, set, frozenset, dict, str, bytes, int, float, bytearray, BaseException)):
            yield from self._reduced(thing)

    def _reduced(self, thing: Any) -> Iterator[_Text | _See]:
        """An object of C code, by what pickle would take of it."""
        if type(thing) is object:
            return
        try:
            reduced = thing.__reduce_ex__(4)
        except Exception:
            self.opaque.add(f"{type(thing).__module__}.{type(thing).__qualname__}")
            return
        if isinstance(reduced, str):
            yield _Text(reduced)
            return
        for part in reduced[:3]:
            yield _See(part)
        for more in reduced[3:5]:
            yield _See(list(more) if more is not None else None)

    def place(self, address: int) -> int:
        """The number of a piece of memory."""
        return self._memory.setdefault(address, len(self._memory))


class _Text(str):
    __slots__ = ()


class _See:
    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing


def _slots(kind: type) -> list[str]:
    found = vars(kind).get("__slots__", ())
    names = [found] if isinstance(found, str) else list(found)
    return [n for n in names if n not in ("__dict__", "__weakref__") and not (n.startswith("__") and not n.endswith("__"))]


def _base_names(kind: type) -> Iterator[str]:
    for base in kind.__mro__[:-1]:
        yield f"{base.__module__}.{base.__qualname__}" if base.__module__ != "builtins" else base.__qualname__


def _is_array_scalar(thing: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(thing, numpy.generic)


def _code(code: types.CodeType) -> str:
    """A code object without its file and lines; nested ones below it count."""
    parts = [code.co_code.hex(), repr(code.co_names), repr(code.co_varnames), repr(code.co_freevars), repr(code.co_cellvars)]
    for constant in code.co_consts:
        parts.append(_code(constant) if isinstance(constant, types.CodeType) else _constant(constant))
    return _sha("|".join(parts))[:16]


def _constant(constant: Any) -> str:
    return repr(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)


# what is not told by its fields alone


def _cell(writer: Writer, thing: types.CellType) -> Iterator[_Text | _See]:
    try:
        yield _See(thing.cell_contents)
    except ValueError:
        yield _Text("empty")


def _method(writer: Writer, thing: types.MethodType) -> Iterator[_Text | _See]:
    yield _See(thing.__func__)
    yield _See(thing.__self__)


def _wrapping(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    yield _See(thing.__func__)


def _builtin_method(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    yield _Text(f"{thing.__name__} of ")
    yield _See(thing.__self__)


def _property(writer: Writer, thing: property) -> Iterator[_Text | _See]:
    yield from writer._sequence("(", (thing.fget, thing.fset, thing.fdel), ")")


def _partial(writer: Writer, thing: functools.partial) -> Iterator[_Text | _See]:
    yield from writer._named(func=thing.func, args=thing.args, keywords=thing.keywords)


def _cached(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    yield _See(thing.__wrapped__)
    yield _Text(repr(thing.cache_parameters()))


def _proxy(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    yield from writer._mapping(sorted(thing.items(), key=lambda item: str(item[0])))


def _pattern(writer: Writer, thing: re.Pattern) -> Iterator[_Text | _See]:
    yield _Text(f"{thing.pattern!r} {thing.flags}")


def _reference(writer: Writer, thing: weakref.ref) -> Iterator[_Text | _See]:
    yield _See(thing())


def _by_type(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    yield from ()


def _place(file: Any) -> int | str:
    try:
        return int(file.tell())
    except OSError:  # a pipe; one that says it could be asked, too
        return "a stream"


def _random(writer: Writer, thing: random.Random) -> Iterator[_Text | _See]:
    yield _Text(_sha(repr(thing.getstate())))


def _array(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    numpy = sys.modules["numpy"]
    owner = thing
    while isinstance(getattr(owner, "base", None), numpy.ndarray):
        owner = owner.base
    start = owner.__array_interface__["data"][0]
    where = thing.__array_interface__["data"][0]
    place = f"@{writer.place(start)}+{where - start}" if thing.size else ""
    yield _Text(f"{thing.dtype} {thing.shape} {thing.strides} {thing.flags.writeable} {place} ")
    if thing.dtype.hasobject:
        yield from writer._sequence("[", thing.ravel().tolist(), "]")
    else:
        yield _Text(_sha(numpy.ascontiguousarray(thing).tobytes()))
    mask = getattr(thing, "mask", None)
    if mask is not None and mask is not numpy.ma.nomask:
        yield _See(mask)


def _numpy_random(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    bits = getattr(thing, "bit_generator", None)
    if bits is not None:
        yield _See(bits)
    else:
        yield _Text(_sha(repr(thing.get_state(legacy=False) if hasattr(thing, "get_state") else thing.state)))


def _tensor(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    torch = sys.modules["torch"]
    yield _Text(f"{thing.dtype} {tuple(thing.shape)} {thing.device} grad {thing.requires_grad} leaf {thing.is_leaf} ")
    if thing.layout is torch.strided:
        storage = thing.untyped_storage()
        yield _Text(f"{thing.stride()} @{writer.place(storage.data_ptr())}+{thing.storage_offset()} " if thing.numel() else "")
        flat = thing.detach().cpu().contiguous().view(-1)
        yield _Text(_sha(flat.view(torch.uint8).numpy().tobytes() if thing.numel() else b""))
    else:
        yield _See(thing.detach().to_dense())
    if thing.is_leaf:
        yield _See(thing.grad)
    hooks = getattr(thing, "_backward_hooks", None)
    yield _Text(f" hooks {len(hooks) if hooks else 0} ")
    own = {name: value for name, value in vars(thing).items() if not name.startswith("_")} if hasattr(thing, "__dict__") else {}
    if own:
        yield from writer._mapping(own.items())


def _torch_random(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    yield _Text(_sha(thing.get_state().numpy().tobytes()))


def _frame(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    yield from writer._sequence("columns(", list(thing.columns), ")")
    yield from writer._sequence("index(", list(thing.index), ")")
    for column in range(thing.shape[1]):
        yield from _series(writer, thing.iloc[:, column])


def _series(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    yield _Text(f"{thing.dtype} {thing.name!r} ")
    yield from writer._sequence("[", thing.tolist(), "]")


def _index(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    yield _Text(f"{thing.dtype} ")
    yield from writer._sequence("[", thing.tolist(), "]")


def _bar(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    yield _Text(f"{thing.n} of {thing.total} {thing.desc!r} disabled {thing.disable}")


def _figure(writer: Writer, thing: Any) -> Iterator[_Text | _See]:
    thing.canvas.draw()
    yield _Text(_sha(bytes(thing.canvas.buffer_rgba())))


_SPECIAL: dict[str, Any] = {
    "cell": _cell,
    "method": _method,
    "staticmethod": _wrapping,
    "classmethod": _wrapping,
    "builtin_function_or_method": _builtin_method,
    "method-wrapper": _builtin_method,
    "property": _property,
    "functools.partial": _partial,
    "functools._lru_cache_wrapper": _cached,
    "mappingproxy": _proxy,
    "re.Pattern": _pattern,
    "weakref.ReferenceType": _reference,
    "_thread.lock": _by_type,
    "_thread.RLock": _by_type,
    "random.Random": _random,
    "numpy.ndarray": _array,
    "numpy.random._generator.Generator": _numpy_random,
    "numpy.random.mtrand.RandomState": _numpy_random,
    "numpy.random.bit_generator.BitGenerator": _numpy_random,
    "torch.Tensor": _tensor,
    "torch._C.Generator": _torch_random,
    "pandas.core.frame.DataFrame": _frame,
    "pandas.DataFrame": _frame,
    "pandas.core.series.Series": _series,
    "pandas.Series": _series,
    "pandas.core.indexes.base.Index": _index,
    "pandas.Index": _index,
    "tqdm.std.tqdm": _bar,
    "matplotlib.figure.Figure": _figure,
    "matplotlib.axes._base._AxesBase": _by_type,
}
