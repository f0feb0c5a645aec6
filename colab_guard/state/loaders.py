"""torch DataLoader iterators in their place.

An iterator cannot be pickled (worker processes, a sampler's generator). While a guarded cell runs, each new one notes
the random state at its creation (the base seed of the workers comes from it) and before its first item (the sampler's
seed comes from that). Rebuilt, it is made anew from both, lazily, and goes past what was already given; global random
state is left as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from colab_guard.state.random_state import random_state, set_random_state
from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

NOTE = "_colab_guard_note"


def track_dataloaders() -> Callable[[], None]:
    """Note what iterators made from now on need; gives the undo. Does nothing while torch is not imported."""
    module = sys.modules.get("torch.utils.data.dataloader")
    if module is None:
        return _nothing
    base: Any = module._BaseDataLoaderIter
    make, take = base.__init__, base.__next__

    def noting_init(self: Any, loader: Any) -> None:
        at_creation = _all_random(loader)
        make(self, loader)
        setattr(self, NOTE, {"loader": loader, "creation": at_creation, "first": None})

    def noting_next(self: Any) -> Any:
        note = getattr(self, NOTE, None)
        if note is not None and note["first"] is None:
            note["first"] = _all_random(note["loader"])
        return take(self)

    base.__init__, base.__next__ = noting_init, noting_next

    def undo() -> None:
        base.__init__, base.__next__ = make, take

    return undo


def reduce_loader_iterator(pickler: GraphPickler, iterator: Any) -> Any:
    note = getattr(iterator, NOTE, None)
    if note is None:
        raise CannotKeep("this DataLoader iterator was made before the guarded cell began")
    return LoaderIterator, (note["loader"], note["creation"], note["first"], iterator._num_yielded)


class LoaderIterator:
    """A DataLoader iterator that is made again when it is first asked for an item."""

    def __init__(self, loader: Any, creation: Any, first: Any, given: int) -> None:
        self._made_from = (loader, creation, first, given)
        self._iterator: Any = None

    def __iter__(self) -> LoaderIterator:
        return self

    def __len__(self) -> int:
        return len(self._made_from[0])

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = self._make()
        return next(self._iterator)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._iterator is None:
            return LoaderIterator, self._made_from
        note = getattr(self._iterator, NOTE)
        return LoaderIterator, (note["loader"], note["creation"], note["first"], self._iterator._num_yielded)

    def _make(self) -> Any:
        loader, creation, first, given = self._made_from
        now = _all_random(loader)
        _set_all_random(loader, creation)
        iterator = iter(loader)
        setattr(iterator, NOTE, {"loader": loader, "creation": creation, "first": first})
        if first is None:
            _set_all_random(loader, now)
            return iterator
        _set_all_random(loader, first)
        _skip(iterator, loader, given)
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
