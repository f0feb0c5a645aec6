"""Iterating accelerate's `DataLoaderShard` with a place that can be captured.

The shard's own iteration is a generator that fetches one batch ahead. This iterator does the same, step by step, but
its place is plain data: the underlying DataLoader iterator, the batch that was fetched ahead, and whether it was the
last. The batch ahead is part of the snapshot: it was made with random state that is long gone.
"""

from __future__ import annotations

from typing import Any


class ShardIterator:
    """One pass over `shard` (a `DataLoaderShard`), as its own generator would make it."""

    def __init__(self, shard: Any) -> None:
        self.shard = shard
        self._below: Any = None
        self._ahead: Any = None
        self._begun = False
        self._last_given = False

    def __iter__(self) -> ShardIterator:
        return self

    def __next__(self) -> Any:
        if self._last_given:
            self.shard.iteration += 1
            self.shard.end()
            raise StopIteration
        if not self._begun:
            self._begin()
        given = self._on_device(self._ahead)
        try:
            self._ahead = next(self._below)
        except StopIteration:
            self.shard.end_of_dataloader = True
            self._ahead = None
            self._last_given = True
        return given

    def _begin(self) -> None:
        from accelerate.data_loader import synchronize_rng_states

        if self.shard.rng_types is not None:
            synchronize_rng_states(self.shard.rng_types, self.shard.synchronized_generator)
        self.shard.begin()
        self.shard.set_epoch(self.shard.iteration)
        self._below = iter(self.shard.base_dataloader)
        self._begun = True
        try:
            self._ahead = next(self._below)
        except StopIteration:
            self._last_given = True
            self.shard.end()
            raise

    def _on_device(self, batch: Any) -> Any:
        if self.shard.device is None:
            return batch
        from accelerate.utils import send_to_device

        return send_to_device(batch, self.shard.device, non_blocking=self.shard._non_blocking)

    def came_back(self) -> None:
        """After a restore: what beginning the pass tells accelerate, told again."""
        if self._begun:
            self.shard.begin()
            self.shard.end_of_dataloader = self._last_given


def not_steppable(loader: Any) -> str | None:
    """Why a pass over `loader` cannot be kept in its place; None if it can."""
    if type(loader).__name__ != "DataLoaderShard":
        return f"the place in a {type(loader).__name__} (a streamed dataset, or several processes) cannot be kept yet"
    if hasattr(loader.base_dataloader, "state_dict"):
        return "the place in a StatefulDataLoader cannot be kept yet; leave use_stateful_dataloader off"
    if loader.batch_sampler is None:
        return "the place in a streamed dataset (IterableDataset) cannot be kept yet"
    if loader.num_workers > 0 and loader.persistent_workers:
        return "the place of persistent workers cannot be kept; leave dataloader_persistent_workers off"
    return None
