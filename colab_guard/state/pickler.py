"""The pickler of the graph: cloudpickle's, with reducers of ours found by a type's name.

Reducers are looked up by qualified name through the MRO and remembered by type, so that no library is imported to know
its types. The first attempt lets the C pickler work alone wherever no reducer of ours is needed; if some object cannot
be pickled, a second, careful attempt finds each such object and either refuses (code to come needs it) or puts a named
placeholder in its place.
"""

from __future__ import annotations

import io
import pickle
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cloudpickle

from colab_guard.errors import SnapshotRefused
from colab_guard.state import addresses, built_on, caches, classes, functions, instances, things
from colab_guard.state.blocks import Blocks
from colab_guard.state.live import Live
from colab_guard.state.paths import Roots, path_to
from colab_guard.state.reducers import Reducer, ReducersFound, reducer_named
from colab_guard.state.secrets import Watching
from colab_guard.state.split import BEFORE, Split

PLAIN = (bool, int, float, str, bytes, type(None))
GRAPH = "graph"
LOST_LIMIT = 20
"""Objects whose pickling fails after their reduction, each of which costs an attempt."""
MOST_RETURNS = 10_000
"""How often a reduction may lead back to its own object before that is made: as often as there are containers on its ways back."""
GOES_ROUND = "what it is made from (its class's reduction) leads back to itself, without end"


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


Definition = tuple[str, str, dict[str, Any]] | tuple[str, str, dict[str, Any], dict[str, Any]]


class Definitions:
    """Behind both: what may have changed in the notebook's classes and functions that were met on the way.

    As triples ("class", "function" or "cache", name, data); what changed in a class besides its data comes fourth.
    """

    def __init__(self, pickler: GraphPickler | None = None) -> None:
        self.pickler = pickler
        self.found: list[Definition | None] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return Definitions, (), None, self._met()

    def _met(self) -> Iterator[Definition | None]:
        pickler, self.pickler = self.pickler, None  # whose memo holds this, and all that was met
        assert pickler is not None
        done = set[tuple[str, str]]()
        while waiting := [key for key in self._keys(pickler) if key not in done]:
            kind, name = waiting[0]
            done.add(waiting[0])
            if kind == "class":
                cls = pickler.classes[name]
                pickler.caches.update((id(cached), cached) for cached in caches.of_class(cls))
                yield classes.definition(name, cls, pickler.live)
            elif kind == "cache":
                yield kind, name, caches.data(pickler, list(pickler.caches.values())[int(name)])
            elif data := functions.function_data(pickler.functions[name]):
                yield kind, name, data
            # the pickler asks for one more than it has saved; data may bring further definitions
            yield None

    @staticmethod
    def _keys(pickler: GraphPickler) -> list[tuple[str, str]]:
        named = [*(("class", name) for name in pickler.classes), *(("function", name) for name in pickler.functions)]
        return named + [("cache", str(number)) for number in range(len(pickler.caches))]

    def append(self, found: Definition | None) -> None:
        self.found.append(found)


class Namespace:
    """Pickled ahead of the graph, in place of the user's namespace: that dictionary is never kept by value."""

    def __reduce__(self) -> tuple[Any, ...]:
        return functions.this_namespace, ()


class Reducing:
    """Reduction of one graph, shared by the C pickler and the Python one. `roots` serve to name what cannot be kept."""

    dispatch_table: Any
    memo: Any
    clear_memo: Callable[[], None]

    def begin(
        self, live: Live, roots: Roots, *, careful: bool, lost: dict[int, str], known: ReducersFound | None = None
    ) -> None:
        self.live = live
        self.blocks = Blocks()
        self.classes: dict[str, type] = {}
        self.functions: dict[str, types.FunctionType] = {}
        self.caches: dict[int, Any] = {}
        """Functions under `lru_cache`, by their ids."""
        self.placeholders: list[Placeholder] = []
        self.optimizers: list[Any] = []
        self.ahead: set[int] = set()
        """The ids of the roots of segments."""
        self.begun: set[int] = set()
        """The ids of instances that are made with some attributes from the start."""
        self.slots: dict[type, Mapping[str, Any]] = {}
        self.walked = 0
        """How many references a look holds to all that is pickled now."""
        self.graphs_dropped = False
        self.last: Any = None
        self.trial = False
        """Whether nothing is kept of this pickling: what is open for writing stays as it is."""
        self._roots = roots
        self._careful = careful
        self._lost = lost
        self._refusing = True
        self._known = ReducersFound() if known is None else known
        self._found: dict[type, Reducer | None] = self._known.now()
        self._alive: list[Any] = []
        self._names = {id(value): name for name, value in roots.names.items()}
        self._more_names: list[Mapping[int, str]] = []
        self._live_cells: dict[int, tuple[str, int]] | None = None

    def live_cells(self) -> dict[int, tuple[str, int]]:
        if self._live_cells is None:
            self._live_cells = functions.live_cells(self.live)
        return self._live_cells

    def name(self, thing: Any, path: str) -> None:
        """What `thing` is called by people, unless it has a name already."""
        if not self.label(thing):
            self._names[id(thing)] = path

    def name_all(self, names: Mapping[int, str]) -> None:
        """The same for many, by their addresses."""
        self._more_names.append(names)

    def label(self, thing: Any) -> str:
        address = id(thing)
        return self._names.get(address, "") or next((names[address] for names in self._more_names if address in names), "")

    def met(self) -> Iterable[type]:
        """The classes of which instances were met, now or before; not Python's own plain ones."""
        return self._found

    def reducer_of(self, kind: type) -> Reducer | None:
        """The reducer of ours for instances of `kind`."""
        if kind not in self._found:
            self._found[kind] = found = self._look_up(kind)
            self._known.note(kind, found)
        return self._found[kind]

    def reducer_override(self, thing: Any) -> Any:
        kind = type(thing)
        try:
            reducer = self._found[kind]
        except KeyError:
            reducer = self.reducer_of(kind)
        if reducer is instances.reduce_shared and not things.shares_attributes(thing):
            reducer = None  # told here, since it is asked of every instance
        if reducer is None and not self._careful:
            return NotImplemented
        self.last = thing
        try:
            if id(thing) in self._lost:
                return self.lose(thing, self._lost[id(thing)])
            return self._reduce(thing, reducer)
        except (SnapshotRefused, RecursionError, MemoryError):
            raise
        except things.CannotKeep as reason:
            return self.lose(thing, str(reason))
        except Exception as error:
            if not self._careful:
                raise
            return self.lose(thing, f"{type(error).__name__}: {error}".split("\n")[0])

    def _reduce(self, thing: Any, reducer: Reducer | None) -> Any:
        reduced = reducer(self, thing) if reducer is not None else NotImplemented  # type: ignore[arg-type]
        if reduced is things.PLAINLY:
            return NotImplemented
        if reduced is NotImplemented:
            if reducer is functions.reduce_function and functions.importable(thing):
                return NotImplemented
            reduced = cloudpickle.Pickler.reducer_override(self, thing)
        if self._careful and reduced is NotImplemented and not isinstance(thing, (types.FunctionType, type, *PLAIN)):
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
            reducer = reducer_named(f"{base.__module__}.{base.__qualname__}")
            if reducer is not None and (kind is base or reducer not in things.ONLY_ITSELF):
                return reducer
        return built_on.reducer_for(kind) or instances.reducer_for(kind)

    def lose(self, thing: Any, reason: str) -> Any:
        """`thing` cannot be kept as it is: refuse, or note it and reduce to a placeholder."""
        path = path_to(thing, self._roots)
        if self._refusing:
            raise SnapshotRefused(f"{path} ({type(thing).__qualname__}): {reason}{self._way_out(path)}")
        lost = self.note_loss(thing, reason, path)
        return Placeholder, (lost.path, lost.type_name, lost.reason)

    def note_loss(self, thing: Any, reason: str, path: str = "") -> Placeholder:
        """`thing` is not kept: what stands for it, noted to be named."""
        lost = Placeholder(path or self.path_of(thing), f"{type(thing).__module__}.{type(thing).__qualname__}", reason)
        self.placeholders.append(lost)
        return lost

    def captured_names(self) -> Mapping[str, Any]:
        """The notebook's names that the capture is of, with their values."""
        return self._roots.names

    def path_of(self, thing: Any) -> str:
        """How a person reaches `thing` from the captured names."""
        return path_to(thing, self._roots)

    def _way_out(self, path: str) -> str:
        """What the user can do about a name that an earlier cell makes."""
        name = path.split("[")[0].split(".")[0]
        made_before = name in self.live.start and self.live.start[name] is self.live.namespace.get(name)
        return f"; --skip {name} leaves it to the cell that makes it" if made_before and path == name else ""

    def start_keeping(self) -> None:
        self._refusing = False

    def is_ahead(self, thing: Any) -> bool:
        """Whether `thing` was pickled ahead of the rest, in a segment of its own."""
        return id(thing) in self.ahead

    def is_done(self) -> None:
        """Let go of what only the pickling needs: thousands of small objects, which the garbage collector would look at."""
        self._alive = []
        self._names = {}
        self._more_names = []
        self.begun = set()
        self.optimizers = []

    def put_namespace(self, stand_in: Namespace) -> None:
        """Let the memo's entry of `stand_in` be the namespace's."""
        memo = self.memo.copy()
        index, _ = memo.pop(id(stand_in))
        memo[id(self.live.namespace)] = (index, self.live.namespace)
        self.memo = memo


class GraphPickler(Reducing, cloudpickle.Pickler):  # type: ignore[misc]
    """The C pickler."""


class DeepPickler(Reducing, pickle._Pickler):
    """The Python pickler, for graphs deeper than C's recursion goes (from Python 3.12 its limit is fixed)."""

    dispatch_table = cloudpickle.Pickler.dispatch_table
    _function_reduce = cloudpickle.Pickler._function_reduce
    _dynamic_function_reduce = cloudpickle.Pickler._dynamic_function_reduce
    _function_getnewargs = cloudpickle.Pickler._function_getnewargs

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self.globals_ref: dict[int, Any] = {}
        self._times = Counter[int]()
        """How often each object was to be reduced; those that are done are in the memo, and are not asked for again."""

    def reducer_override(self, thing: Any) -> Any:
        if type(thing) not in self.dispatch:
            self._times[id(thing)] += 1
            if self._times[id(thing)] > MOST_RETURNS:
                self.last = thing
                if self._refusing:
                    self.lose(thing, GOES_ROUND)
                raise things.CannotKeep(GOES_ROUND)
        return super().reducer_override(thing)

    def _default(self, thing: Any) -> Any:
        # the Python pickler asks for tuples and the like too: their reduction is made of tuples
        return NotImplemented if type(thing) in self.dispatch else super()._default(thing)


class WatchingPickler(Watching, GraphPickler):
    """The C pickler, looking at every text."""


class WatchingDeepPickler(Watching, DeepPickler):
    """The Python one, looking at every text."""


def _flip(pickler: GraphPickler, mark: KeptFromHere) -> Any:
    pickler.start_keeping()
    return KeptFromHere, ()


PICKLERS = {
    (False, False): GraphPickler,
    (False, True): WatchingPickler,
    (True, False): DeepPickler,
    (True, True): WatchingDeepPickler,
}


def dump(
    graph: Any,
    live: Live,
    roots: Roots,
    *,
    deep: bool = False,
    trial: bool = False,
    split: Split | None = None,
    watching: bool = False,
) -> tuple[dict[str, bytes], Reducing]:
    """Pickle `graph`, in segments as far as that goes; careful attempts follow where the fast one fails.

    `watching`: look at every text for secrets.
    Gives the parts by name, in the order in which they are to be read.
    """
    lost: dict[int, str] = {}
    careful = False
    # the C pickler reads its table from the class, and asks it once per object: a ChainMap costs more than the object
    GraphPickler.dispatch_table = WatchingPickler.dispatch_table = dict(cloudpickle.Pickler.dispatch_table)
    while True:
        file = io.BytesIO()
        kind: Any = PICKLERS[deep, watching]
        pickler = kind(file, 5)
        pickler.begin(live, roots, careful=careful, lost=lost, known=None if split is None else split.reducers)
        pickler.trial = trial
        segments = split if not (careful or deep) else None
        try:
            parts = _dump(pickler, file, graph, segments, roots)
            if parts is not None:
                return parts, pickler
            pickler.clear_memo()
            continue  # without the segment that could not be made
        except (SnapshotRefused, RecursionError, MemoryError):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".split("\n")[0]
            if careful and (pickler.last is None or id(pickler.last) in lost or len(lost) >= LOST_LIMIT):
                raise SnapshotRefused(f"{path_to(pickler.last, roots)}: {reason}") from error
            if careful:
                lost[id(pickler.last)] = reason
        pickler.clear_memo()
        careful = True


def _dump(pickler: Any, file: io.BytesIO, graph: Any, split: Split | None, roots: Roots) -> dict[str, bytes] | None:
    for part in graph:
        if isinstance(part, Definitions):
            part.pickler = pickler
    # cloudpickle's own `dump` rewords RecursionError
    write = pickle._Pickler.dump if isinstance(pickler, DeepPickler) else pickle.Pickler.dump
    stand_in = Namespace()
    write(pickler, stand_in)
    pickler.put_namespace(stand_in)
    at = 0
    if split is not None and (named := split.roots(roots.names)):
        if not split.put(pickler, file, named, write):
            return None
        at = file.tell()
    write(pickler, graph)
    parts = {f"{BEFORE}{n:02d}": made.data for n, made in enumerate(split.segments)} if at and split is not None else {}
    parts[GRAPH] = file.getvalue()[at:]
    numbers = addresses.numbers_in(parts[GRAPH])
    for segment in split.segments if at and split is not None else ():
        numbers += segment.numbers
    if places := addresses.found(pickler, numbers):
        at = file.tell()
        write(pickler, places)
        parts[addresses.ADDRESSES] = file.getvalue()[at:]
    return parts
