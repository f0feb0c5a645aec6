"""Capture and restore: names and records as one graph, with the memory behind arrays and tensors beside it."""

from __future__ import annotations

import gc
import json
import pickle
import sys
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from colab_guard.errors import CannotResume
from colab_guard.state.blocks import RESTORING
from colab_guard.state.live import Live
from colab_guard.state.pickler import ClassData, GraphPickler, KeptFromHere, Placeholder, Roots, dump
from colab_guard.store import BufferDraft

T = TypeVar("T")

GRAPH = "graph"
BLOCKS = "blocks"
DEEP_STACK = 512 * 2**20
DEEP_RECURSION = 200_000
WALK_LIMIT = 200_000
SHARED_BY_NATURE = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, type)
ATOMS = (str, int, float, complex, bytes, bool, type(None), range)


@dataclass(slots=True)
class Captured:
    """State as bytes: the pickled graph and what lies outside it. `placeholders` names what is not in it."""

    parts: dict[str, bytes]
    buffers: list[BufferDraft]
    placeholders: list[Placeholder]
    _pickler: GraphPickler | None = field(default=None, repr=False)

    def shares(self, value: Any) -> bool:
        """Whether `value` shares mutable objects, or memory, with what was captured. Valid until state changes."""
        return self._pickler is not None and _Shared(self._pickler).with_(value)


class _Shared:
    def __init__(self, pickler: GraphPickler) -> None:
        self._memo = {key: entry[1] for key, entry in pickler.memo.copy().items()}
        self._ranges = [(b.address, b.address + b.nbytes) for b in pickler.blocks.by_place.values() if b.nbytes]

    def with_(self, value: Any) -> bool:
        todo, seen = [value], set()
        while todo and len(seen) < WALK_LIMIT:
            thing = todo.pop()
            if id(thing) in seen or isinstance(thing, ATOMS):
                continue
            seen.add(id(thing))
            if isinstance(thing, types.FunctionType):
                todo.extend(thing.__closure__ or ())
                continue
            if isinstance(thing, SHARED_BY_NATURE):
                continue
            if self._is_captured(thing) or self._in_memory(thing):
                return True
            todo.extend(gc.get_referents(thing))
        return False

    def _is_captured(self, thing: Any) -> bool:
        if isinstance(thing, (tuple, frozenset)) or type(thing).__module__ in ("torch", "numpy.dtypes"):
            # immutable by itself; torch.dtype, torch.device and torch.Size are everybody's
            return type(thing).__name__ in ("Tensor", "Parameter") and self._memo.get(id(thing)) is thing
        return self._memo.get(id(thing)) is thing

    def _in_memory(self, thing: Any) -> bool:
        span = _span(thing)
        return span is not None and any(start < span[1] and span[0] < end for start, end in self._ranges)


def _span(thing: Any) -> tuple[int, int] | None:
    """The address range that an array or tensor looks into."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(thing, numpy.ndarray) and thing.nbytes:
        low, high = numpy.lib.array_utils.byte_bounds(thing) if hasattr(numpy.lib, "array_utils") else numpy.byte_bounds(thing)
        return int(low), int(high)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, torch.Tensor) and thing.layout is torch.strided and thing.numel():
        storage = thing.untyped_storage()
        return storage.data_ptr(), storage.data_ptr() + storage.nbytes()
    return None


def capture(needed: Mapping[str, Any], kept: Mapping[str, Any], live: Live) -> Captured:
    """Capture both mappings as one graph.

    Code to come reads `needed`: what cannot be kept there raises SnapshotRefused with the path to it. Nothing reads
    `kept` again: a loss there becomes a Placeholder. Buffers are private copies when this returns.
    """
    names = {**dict(kept.get("names", {})), **dict(needed.get("names", {}))}
    roots = Roots(names, [value for key, value in {**kept, **needed}.items() if key != "names"])

    def work() -> Captured:
        graph = (dict(needed), KeptFromHere(), dict(kept), ClassData())
        data, pickler = dump(graph, live, roots)
        blocks = json.dumps(pickler.blocks.sharing()).encode()
        return Captured({GRAPH: data, BLOCKS: blocks}, pickler.blocks.drafts(), pickler.placeholders, pickler)

    try:
        return work()
    except RecursionError:
        return _on_deep_stack(work)


def restore(
    parts: Mapping[str, bytes], buffers: Mapping[str, bytearray], live: Live
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `capture` was given, with aliases intact, against the live namespace; CannotResume names what is missing."""

    def work() -> Any:
        RESTORING.live, RESTORING.buffers = live, buffers
        RESTORING.sharing = json.loads(parts[BLOCKS])
        try:
            return pickle.loads(parts[GRAPH])
        except (ImportError, AttributeError) as error:
            raise CannotResume(f"the snapshot needs a library or a definition that is not here: {error}") from error
        finally:
            RESTORING.live, RESTORING.buffers, RESTORING.sharing = None, {}, {}

    try:
        needed, _, kept, classes = work()
    except RecursionError:
        needed, _, kept, classes = _on_deep_stack(work)
    for name, data in classes.data.items():
        cls = live.look_up(name, live.start)
        for attribute, value in data.items():
            setattr(cls, attribute, value)
    return needed, kept


def _on_deep_stack(work: Callable[[], T]) -> T:
    """Run `work` in a thread with a stack for very deep graphs (a chain of 30,000 objects)."""
    box: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            box.append(work())
        except BaseException as error:
            failure.append(error)

    before_limit, before_size = sys.getrecursionlimit(), threading.stack_size(DEEP_STACK)
    sys.setrecursionlimit(DEEP_RECURSION)
    try:
        thread = threading.Thread(target=run, name="colab_guard-deep")
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(before_limit)
        threading.stack_size(before_size)
    if failure:
        raise failure[0]
    return box[0]
