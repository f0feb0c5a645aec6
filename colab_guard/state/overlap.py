"""Copies that are made beside training, between a safe point and the next step of an optimizer.

A copier thread fills slots while the forward and backward pass run; whoever joins it helps. What was copied is what lay
there at the safe point if nothing has written to it since, and that is looked at by whoever joins, in the thread that
trains, before the optimizer steps: a tensor's version counts what was written through torch. (The version rises after
the writing, so that the copier's own thread cannot tell.) Memory that fails once is copied at the safe point ever after.

Memory that has held the same for some snapshots, and that nothing trains (the frozen weights below an adapter), is only
compared beside training. One that turns out to differ counts as written to.

What a version does not count must not be copied this way: memory under numpy arrays or several tensors, steps in fused
or compiled code, the running averages of a batch norm, what code reaches by `.data`. `settling` and `graph` leave those out.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from colab_guard.state.staging import Place, Slot, Staging

LEAST_BYTES = 64 * 1024
"""What is smaller is copied at once: that costs no more than looking after it."""
STEADY = 3
"""Snapshots in a row that found memory unchanged, after which it is taken for frozen."""


@dataclass(slots=True)
class Copy:
    """One tensor's memory on its way into a slot. `alias` keeps the memory alive and shares the tensor's version."""

    place: Place
    alias: Any
    version: int
    slot: Slot
    label: str
    frozen: bool = False
    """Whether the slot is to hold all of it already."""
    held: bool = True
    """False where it was frozen and did not."""

    @classmethod
    def of(cls, place: Place, tensor: Any, slot: Slot, label: str, *, frozen: bool) -> Copy:
        alias = tensor.detach()
        return cls(place, alias, alias._version, slot, label, frozen)

    def make(self) -> None:
        if self.frozen:
            self.held = self.slot.holds(self.place[1])
        else:
            self.slot.fill(self.place[1])

    def unchanged(self) -> bool:
        storage = self.alias.untyped_storage()
        return self.held and self.alias._version == self.version and (storage.data_ptr(), storage.nbytes()) == self.place[1:]


class Overlap:
    """The copies of one capture that are still to be made. `join` ends it, whoever calls it first."""

    def __init__(self, copies: Iterable[Copy], staging: Staging) -> None:
        self.copies = list(copies)
        self._staging = staging
        self._waiting = deque(self.copies)
        self._working = threading.Lock()
        self._counting = threading.Lock()
        self._failed: list[Copy] | None = None
        self._left = len(self.copies)
        self.beside_s = 0.0
        """Processor time of the copier's part, where it has ended."""

    @property
    def copied(self) -> bool:
        """Whether all copies are made."""
        return self._left <= 0

    def work(self) -> None:
        """Make copies until none is left to begin; in any thread, also in several."""
        while True:
            try:
                copy = self._waiting.popleft()
            except IndexError:
                return
            try:
                copy.make()
            except BaseException:
                self._waiting.append(copy)  # interrupted: whoever joins makes it
                raise
            with self._counting:
                self._left -= 1

    def work_beside(self) -> None:
        """The copier's part."""
        with self._working:
            self.work()

    def join(self) -> list[Copy]:
        """Make what is left, wait for the copier, and give the copies whose memory was written to meanwhile.

        To be called in the thread that trains, before anything may write to that memory unseen.
        """
        if self._failed is None:
            self.work()
            with self._working:
                if not self.copied:  # one was chosen, and its thread interrupted before it began
                    for copy in self.copies:
                        copy.make()
                self._failed = [copy for copy in self.copies if not copy.unchanged()]
            self._staging.at_once.update(copy.place for copy in self._failed)
            for copy in self.copies:
                copy.alias = None  # the memory is the user's again
        return self._failed

    def abandon(self) -> None:
        """Begin no more copies; what was copied counts for nothing."""
        self._waiting.clear()


def moments(optimizers: Iterable[Any]) -> set[int]:
    """The ids of tensors that these optimizers keep between steps, as far as all their steps are seen."""
    found: set[int] = set()
    for optimizer in filter(steps_are_seen, optimizers):
        for state in optimizer.state.values():
            if isinstance(state, dict):
                found.update(map(id, state.values()))
    return found


@dataclass(frozen=True, slots=True)
class Left:
    """What may be left to be copied beside training: the tensors of these ids (None: all), and frozen ones or not."""

    ids: set[int] | None
    frozen: bool

    def takes(self, tensor: Any, slot: Slot) -> bool:
        if self.ids is None:
            return versions_tell(tensor)
        return id(tensor) in self.ids or (self.frozen and is_frozen(tensor, slot))


NOTHING = Left(set(), frozen=False)


def is_frozen(tensor: Any, slot: Slot) -> bool:
    """Whether nothing trains this memory, and nothing has written to it for some snapshots."""
    return slot.steady >= STEADY and not tensor.requires_grad and versions_tell(tensor)


def versions_tell(tensor: Any) -> bool:
    """Whether a version counts what torch's own modules write: not of running averages, which are flat and no parameters."""
    return bool(tensor.dim() != 1 or tensor.requires_grad)


def steps_are_seen(optimizer: Any) -> bool:
    """Whether each step tells the hooks of torch first, and writes in such a way that versions count it."""
    kind = type(optimizer)
    own_step = optimizer.__dict__.get("step")
    return (
        kind.__module__.startswith("torch.optim.")
        and bool(getattr(kind.step, "hooked", False))
        and (own_step is None or hasattr(own_step, "_wrapped_by_lr_sched"))
        and not any(group.get("fused") or group.get("capturable") for group in optimizer.param_groups)
    )


def anything_compiled() -> bool:
    """Whether torch has compiled code in this process: such code may step an optimizer without hooks or versions."""
    dynamo: Any = sys.modules.get("torch._dynamo.utils")
    return dynamo is not None and bool(dynamo.counters["stats"]["unique_graphs"])
