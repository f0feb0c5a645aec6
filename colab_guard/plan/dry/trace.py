"""A training step's memory, written down: which storages were born and died, in order, without any memory.

`Ledger` is a dispatch mode over meta tensors (shapes without data): every storage that an operation makes is noted when it is
made and, by a weak reference, when it dies; autograd runs as it does for real and so decides what lives how long. The result
is a `Trace`: plain numbers, which can be played to an allocator (`replay`), and, of two traces of the same step at two batch
sizes, computed for any other (`Line`): nearly every size grows in a straight line with the batch.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from colab_guard.plan.allocator import Allocator, Block

PRODUCTS = {torch.ops.aten.mm.default, torch.ops.aten.bmm.default, torch.ops.aten.addmm.default, torch.ops.aten.baddbmm.default}
Temporaries = Callable[[Any, tuple[Any, ...], Any], Iterable[int]]


@dataclass(slots=True)
class Trace:
    """`sizes[n]` bytes of the n-th storage; `events`: n when it is made, ~n when it dies; `steady`: where the last step begins."""

    sizes: list[int] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    steady: int = 0

    def replay(self, allocator: Allocator) -> None:
        """Play the events, and the last step once more where it leaves nothing behind, as a long run would."""
        live: dict[int, Block] = {}
        _play(self.events, self.sizes, allocator, live)
        last = self.events[self.steady :]
        made = {event for event in last if event >= 0}
        if made and made == {~event for event in last if event < 0}:
            _play(last, self.sizes, allocator, live)


def _play(events: Iterable[int], sizes: list[int], allocator: Allocator, live: dict[int, Block]) -> None:
    for event in events:
        if event >= 0:
            live[event] = allocator.malloc(sizes[event])
        else:
            allocator.free(live.pop(~event))


@dataclass(frozen=True, slots=True)
class Line:
    """Traces of one step at the batches `at` and `at + 1`, drawn out to others."""

    at: int
    lower: Trace
    upper: Trace

    @property
    def straight(self) -> bool:
        """Whether both did the same things in the same order."""
        return self.lower.events == self.upper.events

    def trace(self, batch: int) -> Trace:
        """The trace at `batch`."""
        more = batch - self.at
        sizes = [max(low + more * (high - low), 0) for low, high in zip(self.lower.sizes, self.upper.sizes, strict=True)]
        return Trace(sizes, self.lower.events, self.lower.steady)


class Ledger(TorchDispatchMode):
    """Notes storages of meta tensors. `temporaries` tells what a kernel takes and gives back inside, which no output shows.

    `workspace` is kept from the first product of matrices in each `phase` on (autograd computes in a thread of its own).
    `answer` is what data that is asked for (`item()`, `bool()`) reads as: there is none.
    """

    def __init__(self, temporaries: Temporaries, workspace: int = 0, answer: float = 1) -> None:
        super().__init__()
        self.trace = Trace()
        self.phase = "forward"
        self._temporaries = temporaries
        self._workspace = workspace
        self._has_workspace: set[str] = set()
        self._answer = answer
        self._known: dict[int, Any] = {}

    def add(self, tensor: Any) -> None:
        """Note the storage of `tensor`, if it is new."""
        if tensor.device.type != "meta":
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        size = storage.nbytes()
        if key in self._known or not size:
            return
        number = self.take(size)

        def died(_: object) -> None:
            if self._known.pop(key, None) is not None:
                self.trace.events.append(~number)

        self._known[key] = weakref.ref(storage, died)

    def take(self, size: int) -> int:
        """Note `size` bytes that no tensor holds; `give` takes the number that comes back."""
        number = len(self.trace.sizes)
        self.trace.sizes.append(size)
        self.trace.events.append(number)
        return number

    def give(self, number: int) -> None:
        self.trace.events.append(~number)

    def step(self) -> None:
        """The last step begins."""
        self.trace.steady = len(self.trace.events)

    def close(self) -> Trace:
        """The trace; what dies from now on is no longer noted."""
        self._known.clear()
        return self.trace

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type == "meta":
            return bool(self._answer) if args[0].dtype is torch.bool else self._answer
        if func is torch.ops.aten.equal.default and args[0].device.type == "meta":
            return bool(self._answer)
        out = func(*args, **(kwargs or {}))
        self._note(out)
        if self._workspace and self.phase not in self._has_workspace and func in PRODUCTS:
            self._has_workspace.add(self.phase)
            self.take(self._workspace)
        for number in [self.take(size) for size in self._temporaries(func, args, out)]:
            self.give(number)
        return out

    def _note(self, out: Any) -> None:
        if isinstance(out, torch.Tensor):
            self.add(out)
        elif isinstance(out, (list, tuple)):
            for item in out:
                self._note(item)
