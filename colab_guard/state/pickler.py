"""The pickler of the graph: cloudpickle's, with reducers of ours found by a type's name.

Reducers are looked up by qualified name through the MRO and remembered by type, so that no library is imported to know
its types. The first attempt lets the C pickler work alone wherever no reducer of ours is needed; if some object cannot
be pickled, a second, careful attempt finds each such object and either refuses (code to come needs it) or puts a named
placeholder in its place.
"""

from __future__ import annotations

import gc
import io
import pickle
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cloudpickle

from colab_guard.errors import SnapshotRefused
from colab_guard.state import arrays, functions, loaders, tensors, things
from colab_guard.state.blocks import Blocks
from colab_guard.state.live import Live

Reducer = Callable[["GraphPickler", Any], Any]

BUILT_IN: dict[str, Reducer] = {
    "builtins.function": functions.reduce_function,
    "builtins.cell": functions.reduce_cell,
    "builtins.type": functions.reduce_class,
    "builtins.mappingproxy": things.reduce_mapping_proxy,
    "_thread.lock": things.reduce_lock,
    "_thread.RLock": things.reduce_lock,
    "builtins.weakref": things.reduce_weakref,
    "weakref.ReferenceType": things.reduce_weakref,
    "_io.TextIOWrapper": things.reduce_file,
    "_io.BufferedWriter": things.reduce_file,
    "_io.BufferedReader": things.reduce_file,
    "_io.BufferedRandom": things.reduce_file,
    "_io.FileIO": things.reduce_file,
    "tqdm.std.tqdm": things.reduce_bar,
    "numpy.ndarray": arrays.reduce_array,
    "torch.Tensor": tensors.reduce_tensor,
    "torch.nn.parameter.Parameter": tensors.reduce_tensor,
    "torch._C.Generator": tensors.reduce_generator,
    "torch.optim.optimizer.Optimizer": tensors.reduce_optimizer,
    "torch.utils.data.dataloader._BaseDataLoaderIter": loaders.reduce_loader_iterator,
}
REGISTERED: dict[str, Reducer] = {}


def register_reducer(name: type | str, reduce: Callable[[Any], Any]) -> None:
    """Reduce instances of the type `name` ("module.QualName", or the type) and of its subclasses by `reduce(obj)`."""
    full = name if isinstance(name, str) else f"{name.__module__}.{name.__qualname__}"
    REGISTERED[full] = lambda pickler, thing: reduce(thing)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Stands for an object that could not be kept: where it was, what it was, why."""

    path: str
    type_name: str
    reason: str


class KeptFromHere:
    """Between `needed` and `kept` in the pickled tuple: from here on a loss is named instead of refused."""

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptFromHere, ()


class ClassData:
    """Behind both: data of the notebook's classes that were met on the way, as (class name → attributes)."""

    def __init__(self, pickler: GraphPickler | None = None) -> None:
        self.pickler = pickler
        self.data: dict[str, dict[str, Any]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        assert self.pickler is not None
        found = {name: functions.class_data(cls) for name, cls in self.pickler.classes.items()}
        return rebuild_class_data, ({name: data for name, data in found.items() if data},)


def rebuild_class_data(data: dict[str, dict[str, Any]]) -> ClassData:
    restored = ClassData()
    restored.data = data
    return restored


class GraphPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles one graph. `roots` serve to name what cannot be kept."""

    def __init__(self, file: io.BytesIO, live: Live, roots: Any, *, careful: bool) -> None:
        super().__init__(file, protocol=5)
        self.live = live
        self.blocks = Blocks()
        self.classes: dict[str, type] = {}
        self.placeholders: list[Placeholder] = []
        self._roots = roots
        self._careful = careful
        self._refusing = True
        self._found: dict[type, Reducer | None] = {}
        self._alive: list[Any] = []

    def reducer_override(self, thing: Any) -> Any:
        kind = type(thing)
        try:
            reducer = self._found[kind]
        except KeyError:
            reducer = self._found[kind] = self._look_up(kind)
        if reducer is None and not self._careful:
            return super().reducer_override(thing)
        try:
            return self._reduce(thing, reducer)
        except (SnapshotRefused, RecursionError):
            raise
        except Exception as error:
            if not self._careful:
                raise
            return self.lose(thing, f"{type(error).__name__}: {error}".split("\n")[0])

    def _reduce(self, thing: Any, reducer: Reducer | None) -> Any:
        reduced = reducer(self, thing) if reducer is not None else NotImplemented
        if reduced is NotImplemented:
            if reducer is functions.reduce_function and functions.importable(thing):
                return NotImplemented
            reduced = super().reducer_override(thing)
        if self._careful and reduced is NotImplemented and not isinstance(thing, (types.FunctionType, type)):
            reduced = self._default(thing)
        # parts made for this reduction must outlive the pickler's memo, which knows objects by address
        self._alive.append(reduced)
        return reduced

    def _default(self, thing: Any) -> Any:
        reduce = self.dispatch_table.get(type(thing))
        reduced = reduce(thing) if reduce is not None else thing.__reduce_ex__(5)
        return NotImplemented if isinstance(reduced, str) else reduced

    def _look_up(self, kind: type) -> Reducer | None:
        if kind is KeptFromHere:
            return _flip
        for base in kind.__mro__:
            name = f"{base.__module__}.{base.__qualname__}"
            reducer = REGISTERED.get(name) or BUILT_IN.get(name)
            if reducer is not None:
                return reducer
        return None

    def lose(self, thing: Any, reason: str) -> Any:
        """`thing` cannot be kept as it is: refuse, or note it and reduce to a placeholder."""
        path = path_to(thing, self._roots)
        if self._refusing:
            raise SnapshotRefused(f"{path} ({type(thing).__qualname__}): {reason}")
        lost = Placeholder(path, f"{type(thing).__module__}.{type(thing).__qualname__}", reason)
        self.placeholders.append(lost)
        return Placeholder, (lost.path, lost.type_name, lost.reason)

    def start_keeping(self) -> None:
        self._refusing = False


def _flip(pickler: GraphPickler, mark: KeptFromHere) -> Any:
    pickler.start_keeping()
    return KeptFromHere, ()


def path_to(thing: Any, roots: Any, limit: int = 200_000) -> str:
    """How a person reaches `thing` from the captured names: "model.hooks[0]"; its type if it is not found."""
    todo: list[tuple[Any, str]] = [(roots, "")]
    seen = {id(roots)}
    while todo and len(seen) < limit:
        holder, path = todo.pop(0)
        if holder is thing:
            return path.lstrip(".") or "the snapshot"
        for part, step in _parts(holder):
            if id(part) not in seen:
                seen.add(id(part))
                todo.append((part, _extended(path, step)))
    return f"a {type(thing).__qualname__}"


def _extended(path: str, step: str) -> str:
    # the outermost steps are our own packing, not the user's names
    return path if step.startswith("<") else f"{path}{step}"


def _parts(holder: Any) -> list[tuple[Any, str]]:
    if isinstance(holder, Roots):
        return [(value, f".{name}") for name, value in holder.names.items()] + [(v, "<") for v in holder.others]
    if isinstance(holder, dict):
        return [(value, f"[{key!r}]") for key, value in holder.items()]
    if isinstance(holder, (list, tuple, set, frozenset)):
        return [(value, f"[{number}]") for number, value in enumerate(holder)]
    if isinstance(holder, (type, types.ModuleType, types.CodeType)):
        return []
    parts = [(value, f".{name}") for name, value in getattr(holder, "__dict__", {}).items()]
    known = {id(value) for value, _ in parts}
    return parts + [(value, "<") for value in gc.get_referents(holder) if id(value) not in known]


@dataclass(slots=True)
class Roots:
    """What a capture starts from, for `path_to`: the user's names first, then our own records."""

    names: dict[str, Any]
    others: list[Any]


def dump(graph: Any, live: Live, roots: Roots) -> tuple[bytes, GraphPickler]:
    """Pickle `graph`; the careful attempt follows where the fast one fails."""
    try:
        return _dump(graph, live, roots, careful=False)
    except (TypeError, AttributeError, ValueError, pickle.PicklingError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, RecursionError):
            raise
        return _dump(graph, live, roots, careful=True)


def _dump(graph: Any, live: Live, roots: Roots, *, careful: bool) -> tuple[bytes, GraphPickler]:
    file = io.BytesIO()
    pickler = GraphPickler(file, live, roots, careful=careful)
    for part in graph:
        if isinstance(part, ClassData):
            part.pickler = pickler
    # cloudpickle's own `dump` rewords RecursionError
    pickle.Pickler.dump(pickler, graph)
    return file.getvalue(), pickler
