"""torch DataLoader iterators in their place.

An iterator cannot be pickled (worker processes, a sampler's generator). While a guarded cell runs, each new one notes
the random state at its creation (the base seed of the workers comes from it) and before its first item (the sampler's
seed comes from that). Rebuilt, it is made anew from both, lazily, and goes past what was already given; global random
state is left as it was.

Persistent workers go on from pass to pass, and so does what they hold: their random state, what the data set remembers.
The iterator notes every pass, and is made anew by going through all of them again.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from colab_guard.state.random_state import random_state, set_random_state
from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

NOTE = "_colab_guard_note"
ITERABLE = 1
"""torch's number for data sets that are iterated and not indexed."""


def track_dataloaders() -> Callable[[], None]:
    """Note what iterators made from now on need; gives the undo. Does nothing while torch is not imported."""
    module = sys.modules.get("torch.utils.data.dataloader")
    if module is None:
        return _nothing
    base: Any = module._BaseDataLoaderIter
    working: Any = module._MultiProcessingDataLoaderIter
    make, take, reset = base.__init__, base.__next__, working._reset

    def noting_init(self: Any, loader: Any) -> None:
        at_creation, own = _all_random(loader), _own_state(loader.dataset)
        make(self, loader)
        setattr(self, NOTE, Note(loader, [Pass(at_creation)], own))

    def noting_next(self: Any) -> Any:
        note = getattr(self, NOTE, None)
        if note is not None and note.now.first is None:
            note.now.first = _all_random(note.loader)
        return take(self)

    def noting_reset(self: Any, loader: Any, first_iter: bool = False) -> None:
        note = getattr(self, NOTE, None)
        if note is not None and not first_iter:
            note.now.given = self._num_yielded
            note.passes.append(Pass(_all_random(loader)))
        reset(self, loader, first_iter)

    base.__init__, base.__next__, working._reset = noting_init, noting_next, noting_reset

    def undo() -> None:
        base.__init__, base.__next__, working._reset = make, take, reset

    return undo


@dataclass(slots=True)
class Pass:
    """One pass over the data: random state at its start and before its first item, and how many batches it gave."""

    start: Any
    first: Any = None
    given: int = 0


@dataclass(slots=True)
class Note:
    """What an iterator is made again from. More than one pass only where workers persist."""

    loader: Any
    passes: list[Pass]
    own: Any = None
    """What the data set held of its own when it was asked for an iterator; None where it is made again from a commit."""

    @property
    def now(self) -> Pass:
        return self.passes[-1]


def reduce_loader_iterator(pickler: GraphPickler, iterator: Any) -> Any:
    note = getattr(iterator, NOTE, None)
    if note is None:
        raise CannotKeep("this DataLoader iterator was made before the guarded cell began")
    return _made_again_from(iterator, note)


def _made_again_from(iterator: Any, note: Note) -> tuple[Any, ...]:
    _refuse_self_changing(iterator, note)
    note.now.given = iterator._num_yielded
    return LoaderIterator, (note.loader, [replace(one) for one in note.passes])


def _refuse_self_changing(iterator: Any, note: Note) -> None:
    """An iterable data set is gone through again: that gives the same only where going through it changes nothing in it."""
    if getattr(iterator, "_dataset_kind", None) != ITERABLE or note.loader.num_workers or note.own is None:
        return
    now = _own_state(note.loader.dataset)
    changed = sorted(name for name in note.own.keys() | now.keys() if note.own.get(name) != now.get(name))
    if changed:
        raise CannotKeep(
            f"its {type(note.loader.dataset).__name__} changes itself while it is iterated ({', '.join(changed[:3])}), so it "
            "cannot be gone through again; draw from a generator that is made in __iter__"
        )


def _own_state(dataset: Any) -> dict[str, Any]:
    """The data set's own numbers, texts and generators, and how much its containers hold."""
    found: dict[str, Any] = {}
    for name, value in getattr(dataset, "__dict__", {}).items():
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        if isinstance(value, (bool, int, float, str, bytes, type(None))):
            found[name] = value
        elif kind == "random.Random":
            found[name] = value.getstate()
        elif kind == "numpy.random._generator.Generator":
            found[name] = repr(value.bit_generator.state)
        elif kind == "numpy.random.mtrand.RandomState":
            found[name] = repr(value.get_state())
        elif kind == "torch._C.Generator":
            found[name] = bytes(value.get_state().tolist())
        elif isinstance(value, (list, dict, set, deque)):
            found[name] = len(value)
    return found


class LoaderIterator:
    """A DataLoader iterator that is made again when it is first asked for an item."""

    def __init__(self, loader: Any, passes: list[Pass]) -> None:
        self._note = Note(loader, passes)
        self._iterator: Any = None

    def __iter__(self) -> LoaderIterator:
        return self

    def __len__(self) -> int:
        return len(self._note.loader)

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = self._make()
        return next(self._iterator)

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        """Another pass, asked for by a loader whose workers persist."""
        if self._iterator is None:
            self._iterator = self._make()
        self._iterator._reset(loader, first_iter)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._iterator is None:
            return LoaderIterator, (self._note.loader, self._note.passes)
        return _made_again_from(self._iterator, getattr(self._iterator, NOTE))

    def _make(self) -> Any:
        loader, passes = self._note.loader, self._note.passes
        now, own = _all_random(loader), _own_state(loader.dataset)
        held = getattr(loader, "_iterator", None)
        if held is not None:
            loader._iterator = None
        for one in passes:
            _set_all_random(loader, one.start)
            iterator = iter(loader)
            if one.first is not None:
                _set_all_random(loader, one.first)
                _skip(iterator, loader, one.given)
        if held is not None:
            loader._iterator = held  # which is this object, and what the next pass is asked of
        setattr(iterator, NOTE, Note(loader, [replace(one) for one in passes], own))
        _set_all_random(loader, now)
        return iterator


def _skip(iterator: Any, loader: Any, given: int) -> None:
    """Go past `given` batches; without fetching them where the main process fetches by index."""
    map_style = getattr(iterator, "_dataset_kind", None) == 0 and loader.batch_sampler is not None
    if loader.num_workers == 0 and map_style:
        for _ in range(given):
            next(iterator._sampler_iter)
        iterator._num_yielded += given
        return
    for _ in range(given):
        next(iterator)


def _holders(loader: Any) -> list[Any]:
    """The loader and its samplers: what may own a generator."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    holders = (loader, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None))
    return [holder for holder in holders if hasattr(holder, "generator")]


def _all_random(loader: Any) -> tuple[Any, list[Any]]:
    """Global random state, and of each holder its generator's, or None while it has not made one."""
    generators = [holder.generator for holder in _holders(loader)]
    return random_state(), [None if generator is None else generator.get_state() for generator in generators]


def _set_all_random(loader: Any, state: tuple[Any, list[Any]]) -> None:
    set_random_state(state[0])
    for holder, kept in zip(_holders(loader), state[1], strict=True):
        if kept is None:
            # accelerate's sampler makes its generator when it is first iterated; so it will again
            holder.generator = None
        else:
            holder.generator.set_state(kept)


def _nothing() -> None:
    return None
