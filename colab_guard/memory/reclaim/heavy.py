"""Tensors and arrays: whether a thing is one, how many bytes stand behind it, and finding those that a value reaches.

The way down is Python's own (`gc.get_referents`): attributes, containers, closures, waiting generators. It does not go
into modules, classes, code and frames, nor through a function into the globals of its module, for all things lead there.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

ATOMS = (str, int, float, complex, bool, type(None), range, slice, BuiltinFunctionType)
CLOSED = (*ATOMS, ModuleType, type, CodeType, FrameType, TracebackType)
PLAIN_BYTES = (bytes, bytearray)
ARRAY_LEAST = 2**20
"""Bytes from which an array, or plain bytes, count as heavy; a tensor always does, for it may keep a graph."""
MOST_THINGS = 300_000


@dataclass(frozen=True, slots=True)
class Block:
    """Memory behind a tensor or an array: `key` tells it from others, `device` is "cpu", "cuda:0", ..."""

    key: tuple[str, int]
    size: int
    device: str


def block_of(thing: Any) -> Block | None:
    """The memory behind `thing`; None where it is no tensor, array or bytes, or has none (a meta tensor)."""
    kind = type(thing)
    if issubclass(kind, PLAIN_BYTES):
        return Block(("bytes", id(thing)), sys.getsizeof(thing), "cpu")
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and issubclass(kind, torch.Tensor):
        return _of_tensor(thing)
    if numpy is not None and issubclass(kind, numpy.ndarray):
        while thing.base is not None and issubclass(type(thing.base), numpy.ndarray):
            thing = thing.base
        return Block(("cpu", thing.__array_interface__["data"][0]), thing.nbytes, "cpu")
    return None


def _of_tensor(tensor: Any) -> Block | None:
    device = str(tensor.device)
    try:
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
    except (NotImplementedError, RuntimeError):
        # sparse, wrapped and fake tensors have no storage of their own
        return None
    return Block((device, key), size, device) if key else None


def is_heavy(thing: Any) -> bool:
    """Whether `thing` is a tensor, a module, or an array of `ARRAY_LEAST` bytes or more."""
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(type(thing), (torch.Tensor, torch.nn.Module)):
        return True
    block = block_of(thing)
    return block is not None and block.size >= ARRAY_LEAST


def below(thing: Any) -> list[Any]:
    """What `thing` refers to, as far as it may hold memory for itself."""
    kind = type(thing)
    if issubclass(kind, CLOSED) or issubclass(kind, PLAIN_BYTES):
        return []
    if kind is FunctionType:
        return [*(thing.__closure__ or ()), *(thing.__defaults__ or ()), thing.__kwdefaults__, thing.__dict__]
    found = gc.get_referents(thing)
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(kind, torch.Tensor) and (thing.is_leaf or thing.retains_grad):
        found.append(thing.grad)  # held by torch's own side; asking others for it warns
    return [part for part in found if not issubclass(type(part), CLOSED)]


def reaches_heavy(value: Any, most: int = 20_000) -> bool:
    """Whether a tensor or a large array can be reached from `value`; looks at no more than `most` things."""
    todo: list[Any] = [value]
    seen: set[int] = set()
    while todo and len(seen) < most:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if is_heavy(thing):
            return True
        todo += below(thing)
    return False


@dataclass(slots=True)
class Walk:
    """A walk over what things hold, each thing once. `closed`: ids of things that are not entered."""

    closed: set[int] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)
    blocks: set[tuple[str, int]] = field(default_factory=set)
    left: int = MOST_THINGS

    def of(self, root: Any) -> Found:
        """What `root` holds that nothing walked over before does."""
        found = Found([root], [-1], [0])
        if id(root) in self.seen or id(root) in self.closed:
            return found
        self.seen.add(id(root))
        at = 0
        while at < len(found.things) and self.left > 0:
            self.left -= 1
            thing = found.things[at]
            found.own[at] = self._counted(thing, found)
            for part in below(thing):
                if id(part) not in self.seen and id(part) not in self.closed:
                    self.seen.add(id(part))
                    found.things.append(part)
                    found.parents.append(at)
                    found.own.append(0)
            at += 1
        return found

    def _counted(self, thing: Any, found: Found) -> int:
        block = block_of(thing)
        if block is None or block.key in self.blocks:
            return 0
        self.blocks.add(block.key)
        found.devices.add(block.device)
        return block.size


@dataclass(slots=True)
class Found:
    """Things in the order in which they were met, the place of each one's parent in it, and the bytes of each alone."""

    things: list[Any]
    parents: list[int]
    own: list[int]
    devices: set[str] = field(default_factory=set)

    def totals(self) -> list[int]:
        """Bytes of each thing and of what it led to."""
        sums = list(self.own)
        for at in range(len(sums) - 1, 0, -1):
            sums[self.parents[at]] += sums[at]
        return sums

    def children(self, of: int) -> Iterable[int]:
        return (at for at, parent in enumerate(self.parents) if parent == of)


def held(values: Iterable[Any], closed: set[int] | None = None) -> int:
    """Bytes that `values` hold together, each block counted once."""
    walk = Walk(closed or set())
    return sum(sum(walk.of(value).own) for value in values)
