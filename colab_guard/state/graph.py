"""Capture and restore: names and records as one graph, with the memory behind arrays and tensors beside it."""

from __future__ import annotations

import gc
import json
import sys
import threading
import types
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from colab_guard.errors import CannotResume, GuardError, SnapshotRefused
from colab_guard.state import addresses, arrays, caches, tokens, training_objects
from colab_guard.state.blocks import BLOCKS, RESTORING
from colab_guard.state.classes import put_back
from colab_guard.state.functions import set_function_data
from colab_guard.state.live import Live
from colab_guard.state.mapping import mapped_words, missing, unpickler
from colab_guard.state.named_values import may_be_named
from colab_guard.state.overlap import NOTHING, Left, Overlap, anything_compiled, moments, steps_are_seen
from colab_guard.state.paths import Roots
from colab_guard.state.pickler import GRAPH, Definitions, KeptFromHere, Placeholder, Reducing, dump
from colab_guard.state.secrets import Secrets, listed, rebuilt
from colab_guard.state.settling import Later, settle
from colab_guard.state.sharing import Shared
from colab_guard.state.split import BEFORE, Split
from colab_guard.state.texts_in_memory import check_texts
from colab_guard.store import BufferDraft

T = TypeVar("T")
Overlapping = Literal["params", "full"]

SMALL = "small"
PICKLED_TWICE = 2
"""A pickle grows in a buffer and is taken out of it as bytes."""
DEEP_STACK = 512 * 2**20
DEEP_RECURSION = 400_000


@dataclass(slots=True)
class Captured:
    """State as bytes: the pickled graph and what lies outside it. `placeholders` names what is not in it."""

    parts: dict[str, bytes]
    buffers: list[BufferDraft]
    placeholders: list[Placeholder]
    rebound: dict[str, str] = field(default_factory=dict)
    """Secrets that are not in it, by where their values will be found again, and what that means."""
    overlap: Overlap | None = None
    """Copies that are still to be made, beside what runs next; until it was joined the buffers are not whole."""
    _pickler: Reducing | None = field(default=None, repr=False)
    _shared: Shared | None = field(default=None, repr=False)

    def shares(self, value: Any) -> bool:
        """Whether `value` shares mutable objects, or memory, with what was captured. Valid until state changes."""
        if self._shared is None:
            if self._pickler is None:
                return False
            self._shared = Shared(self._pickler)
        return self._shared.with_(value)

    def forget(self) -> None:
        """Let go of the live objects; `shares` says no from now on."""
        self._pickler = self._shared = None


def capture(
    needed: Mapping[str, Any],
    kept: Mapping[str, Any],
    live: Live,
    split: Split | None = None,
    overlap: Overlapping | None = None,
    *,
    shares: bool = True,
) -> Captured:
    """Capture both mappings as one graph.

    Code to come reads `needed`: what cannot be kept there raises SnapshotRefused with the path to it. Nothing reads
    `kept` again: a loss there becomes a Placeholder. Buffers are private copies when this returns. `split` knows what
    was captured last time and need not be pickled again; buffers then hold until the next capture with it. `overlap`
    lets memory be copied later: "params" that of optimizers' moments, "full" that of all tensors known to nobody else.
    With either, memory that is frozen is compared later.
    Without `shares`, what comes back cannot tell what shares memory or objects with it, and is the lighter for it.
    """
    names = {**dict(kept.get("names", {})), **dict(needed.get("names", {}))}
    roots = Roots(names, [value for key, value in {**kept, **needed}.items() if key != "names"])

    if split is not None:
        split.begin()
        split.staging.make_sure(PICKLED_TWICE * split.pickled)

    def work(*, deep: bool = False) -> Captured:
        def pickled(*, watching: bool, split: Split | None) -> tuple[dict[str, bytes], Reducing]:
            graph = (_apart(needed, live), KeptFromHere(), _apart(kept, live), Definitions())
            return dump(graph, live, roots, deep=deep, split=split, watching=watching)

        parts, pickler = _without_secrets(pickled, live.secrets, split)
        arrays.note_what_comes_apart(pickler)
        settled = settle(pickler.blocks, None if split is None else split.staging, _later(pickler, overlap))
        pickler.is_done()
        table = f'{{{settled.table}, "next_hook": {json.dumps(training_objects.next_hook_id())}}}'
        parts |= {BLOCKS: table.encode(), SMALL: settled.small}
        if live.secrets is not None:
            check_texts(settled.small, pickler.blocks)
            parts |= listed(live.secrets)
        rebound = live.secrets.said() if live.secrets is not None else {}
        if split is not None:
            split.pickled = sum(map(len, parts.values()))
        return Captured(parts, settled.drafts, pickler.placeholders, rebound, settled.overlap, pickler if shares else None)

    # pickling makes many objects and no garbage; a collection in the middle only walks all of torch
    collecting = gc.isenabled()
    gc.disable()
    try:
        with _plain_tensors():
            return work()
    except RecursionError:
        return _deeply(lambda: work(deep=True), split)
    finally:
        if split is not None:
            split.let_go()
        if collecting:
            gc.enable()


def restore(
    parts: Mapping[str, bytes], buffers: Mapping[str, bytearray], live: Live
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `capture` was given, with aliases intact, against the live namespace; CannotResume names what is missing."""
    table = json.loads(parts[BLOCKS])
    RESTORING.begin(live, table, parts[SMALL], buffers)
    whole = False
    try:
        before = sorted(name for name in parts if name.startswith(BEFORE))
        secrets = live.secrets or Secrets(live.start)
        stream = b"".join(parts[name] for name in [*before, GRAPH, addresses.ADDRESSES] if name in parts)
        reader = unpickler(stream, lambda told: rebuilt(told, secrets, Placeholder))
        for _ in range(1 + len(before)):
            reader.load()
        needed, _, kept, definitions = reader.load()
        addresses.put_right(reader.load() if addresses.ADDRESSES in parts else ())
        whole = True
    except ImportError as error:
        raise missing(error) from error
    except (GuardError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, AttributeError) and isinstance(error.obj, (types.ModuleType, type)):
            raise missing(error) from error
        raise CannotResume(f"the snapshot cannot be rebuilt here: {type(error).__name__}: {error}") from error
    finally:
        RESTORING.end(whole=whole)
    training_objects.raise_hook_id(table["next_hook"])
    for kind, name, data, *changes in filter(None, definitions.found):
        if kind == "cache":
            continue
        here = live.look_up(name, live.start) or live.look_up(name, live.namespace)
        if kind == "class":
            put_back(here, data, changes[0] if changes else {}, live, Placeholder)
        elif isinstance(here, types.FunctionType):
            set_function_data(here, data, Placeholder)
    for data in [data for kind, _, data, *_ in filter(None, definitions.found) if kind == "cache" and data]:
        caches.fill(data, Placeholder)
    for part in (needed, kept):
        mapped_words(part.get("names", {}))
    return needed, kept


def _plain_tensors() -> AbstractContextManager[object]:
    """Meanwhile `__torch_function__` of the user's classes of tensors is not called: a look is none of their work."""
    torch = sys.modules.get("torch")
    off = getattr(getattr(torch, "_C", None), "DisableTorchFunctionSubclass", nullcontext)
    made: AbstractContextManager[object] = off()
    return made


def _later(pickler: Reducing, overlap: Overlapping | None) -> Later | None:
    if overlap is None:
        return None
    optimizers = pickler.optimizers

    live = pickler.live

    def left() -> Left:
        if anything_compiled():
            return NOTHING  # nobody would say when memory is about to change
        if overlap == "full":
            return Left(None, frozen=True) if optimizers and all(map(steps_are_seen, optimizers)) else NOTHING
        return Left(set() if live.reaches_moments else moments(optimizers), frozen=not live.writes_unseen)

    return left


def _apart(mapping: Mapping[str, Any], live: Live) -> dict[str, Any]:
    # the namespace itself is never pickled by value; asked for as names, it is these names
    return {key: dict(value) if value is live.namespace else value for key, value in mapping.items()}


def _without_secrets(
    pickled: Callable[..., tuple[dict[str, bytes], Reducing]], secrets: Secrets | None, split: Split | None
) -> tuple[dict[str, bytes], Reducing]:
    """Pickle plainly; where that may hold a secret, once more with a look at every text, and no more than references.

    What was clean before and is still the very same bytes is not looked at again.
    """
    if secrets is None:
        return pickled(watching=False, split=split)
    if not secrets.watching:
        parts, pickler = pickled(watching=False, split=split)
        looked_at = [data for data in parts.values() if not secrets.is_clean(data)]
        if not (looked_at and may_be_named(pickler.met())) and not any(map(tokens.may_hold, looked_at)):
            secrets.note_clean(parts.values())
            return parts, pickler
        pickler.clear_memo()  # what it holds would look as if it were held by the user
    parts, pickler = pickled(watching=True, split=split)
    if any(map(tokens.holds, parts.values())):
        if split is not None:
            split.segments = []  # made when nobody knew that something in them was a secret
        pickler.clear_memo()
        parts, pickler = pickled(watching=True, split=None)
    for what in filter(None, map(tokens.holds, parts.values())):
        raise SnapshotRefused(f"something that is no text holds {what}, which no snapshot stores; put it into a variable or os.environ")
    secrets.watching = bool(secrets.used)
    return parts, pickler


def _deeply(work: Callable[[], T], split: Split | None) -> T:
    """`work` on a deep stack; where that was too deep once it costs seconds, and is not tried again for this piece of work."""
    if split is None or not split.too_deep:
        try:
            return _on_deep_stack(work)
        except RecursionError:
            if split is not None:
                split.too_deep = True
    raise SnapshotRefused("something leads on from object to object without end, or through tens of thousands") from None


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
