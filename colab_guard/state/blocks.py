"""Blocks of memory behind tensors and arrays: each once, whoever looks into it, so that views stay views.

A torch storage, the memory under a numpy array, and memory that both look into are one kind of thing here: an address
range. What overlaps is one buffer (numpy memory under a tensor, and the reverse, has no link in Python; only addresses
tell). Which ranges overlap is known when the whole graph has been walked, so the pickle holds keys only, and a table
beside it says which buffer each key lies in, and where. Buffers of some size stand alone; small ones are one part.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from colab_guard.errors import CannotResume

SMALL_BYTES = 1024
BLOCKS = "blocks"
MAPPED: dict[str, str] = {}
"""Devices whose memory is restored on another one; see `mapping`."""


_TOLD = operator.attrgetter("key", "nbytes", "device", "torch", "users", "label", "dtype", "shape", "stride")


@dataclass(slots=True, eq=False)
class Block:
    """One range of memory. `owner` keeps it alive until it is copied; `device` is torch's name of where it lies.

    `tensor` is the one that looks into it, where it is the only one who does.
    """

    key: str
    address: int
    nbytes: int
    owner: Any
    device: str = "cpu"
    torch: bool = False
    users: int = 0
    tensor: Any = None
    label: str = ""
    dtype: str = "uint8"
    shape: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    _told: tuple[Any, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild_block, (self.key,)

    @property
    def told(self) -> tuple[Any, ...]:
        """All that a table of blocks is made from; asked for when everything was met."""
        self._told = self._told or _TOLD(self)
        return self._told

    def used_by(self, users: int, tensor: Any) -> None:
        """So many look into it; `tensor` is the one, where it is one."""
        if users != self.users:
            self._told = ()
        self.users, self.tensor = users, tensor

    def describe(self, label: str, dtype: str, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
        """For those who never unpickle: what the first one who looked into it saw."""
        if self.users == 1:
            self.label, self.dtype, self.shape, self.stride = label, dtype, shape, stride


@dataclass(slots=True)
class Blocks:
    """The blocks met during one capture."""

    by_place: dict[tuple[str, int, int], Block] = field(default_factory=dict)
    by_key: dict[str, Block] = field(default_factory=dict)

    def at(
        self, device: str, address: int, nbytes: int, owner: Any, *, torch: bool, key: str = "", tensor: Any = None
    ) -> Block:
        """The block of this range; an empty storage (`owner`) has no place and is known by its own address.

        `key` is that of a block which an earlier capture had already named.
        """
        place = (device, address if nbytes else id(owner), nbytes)
        block = self.by_place.get(place)
        if block is None:
            key = key or f"b{len(self.by_place)}"
            block = self.by_place[place] = self.by_key[key] = Block(key, address, nbytes, owner, device, torch, 1, tensor)
            return block
        block.torch = block.torch or torch
        block.used_by(block.users + 1, None)
        return block

    def key_of(self, device: str, address: int, nbytes: int, owner: Any) -> str | None:
        found = self.by_place.get((device, address if nbytes else id(owner), nbytes))
        return None if found is None else found.key


ABSENT: Any = object()


class Restoring(threading.local):
    """What the functions that rebuild objects need to know while a restore runs."""

    blocks: Mapping[str, Any] = {}
    groups: tuple[RestoredGroup, ...] = ()
    live: Any = None
    _bound: Mapping[str, Any] = {}
    """What stood in the namespace under names that were bound early."""

    def bind(self, names: Mapping[str, Any]) -> None:
        """Set names of the notebook before the others, for code of the notebook that runs while objects are rebuilt."""
        namespace = self.live.namespace
        self._bound = {**{name: namespace.get(name, ABSENT) for name in names}, **self._bound}
        namespace.update(names)

    def _unbind(self) -> None:
        for name, value in self._bound.items():
            if value is ABSENT:
                self.live.namespace.pop(name, None)
            else:
                self.live.namespace[name] = value

    def begin(self, live: Any, table: Mapping[str, Any], small: bytes, buffers: Mapping[str, bytearray]) -> None:
        self.live, self.blocks = live, table["blocks"]
        self.groups = tuple(RestoredGroup(group, small, buffers) for group in table["groups"])

    def end(self, *, whole: bool) -> None:
        """`whole`: it went well; else what `bind` has replaced is put back."""
        if not whole:
            self._unbind()
        self.live, self.blocks, self.groups, self._bound = None, {}, (), {}


RESTORING = Restoring()


class RestoredGroup:
    """A buffer brought back, as memory of torch or of numpy, or of both."""

    def __init__(
        self, group: Mapping[str, Any] | list[int], small: bytes, buffers: Mapping[str, bytearray]
    ) -> None:
        if not isinstance(group, Mapping):
            small_bytes, at, flags = group
            group = {"nbytes": small_bytes, "at": at, "torch": bool(flags & 1), "sole": bool(flags & 2), "device": "cpu"}
        self.sole: bool = group["sole"]
        self.of_torch: bool = group["torch"]
        self.nbytes: int = group["nbytes"]
        self._device: str = MAPPED.get(str(group["device"]), str(group["device"]))
        if "at" in group:
            self.data = memoryview(small)[group["at"] : group["at"] + self.nbytes]
        else:
            self.data = memoryview(buffers[group["key"]])
        if len(self.data) != self.nbytes:
            raise CannotResume(f"a buffer of the snapshot has {len(self.data)} bytes instead of {self.nbytes}")
        self._memory: Any = None

    @property
    def flat(self) -> Any:
        """A flat tensor (or array, where torch has no part in it) of bytes over the restored memory."""
        if self._memory is None:
            self._memory = self._make()
        return self._memory

    def _make(self) -> Any:
        if not self.of_torch:
            import numpy

            return numpy.frombuffer(bytearray(self.data), numpy.uint8)
        import torch

        if not device_usable(self._device):
            raise CannotResume(
                f"the snapshot holds tensors of {self._device}, which this machine does not have; "
                "run on the same kind of device, or --fresh"
            )
        # torch's own allocation, not the buffer: its alignment decides which kernels run, and so the last bits
        flat = torch.empty(self.nbytes, dtype=torch.uint8)
        if self.nbytes:
            flat.copy_(torch.frombuffer(bytearray(self.data) if self.data.readonly else self.data, dtype=torch.uint8))
        return flat.to(self._device)


class RestoredBlock:
    """A range within a restored group."""

    def __init__(self, group: RestoredGroup, offset: int, nbytes: int) -> None:
        self.group, self.offset, self.nbytes = group, offset, nbytes
        self._storage: Any = None

    @property
    def storage(self) -> Any:
        """As a torch storage; one object for all who look into it."""
        if self._storage is None:
            whole = self.group.flat.untyped_storage()
            part = self.offset or self.nbytes != self.group.nbytes
            self._storage = whole[self.offset : self.offset + self.nbytes] if part else whole
        return self._storage

    @property
    def array(self) -> Any:
        """As a flat numpy array of bytes."""
        flat = self.group.flat
        return (flat.numpy() if self.group.of_torch else flat)[self.offset : self.offset + self.nbytes]


def device_usable(device: str) -> bool:
    if device == "cpu":
        return True
    import torch

    wanted = torch.device(device)
    module = getattr(torch, wanted.type, None)
    if module is None or not module.is_available():
        return False
    return wanted.index is None or wanted.type == "mps" or wanted.index < module.device_count()


def rebuild_block(key: str) -> RestoredBlock:
    place = RESTORING.blocks[key]
    if isinstance(place, int):
        return RestoredBlock(RESTORING.groups[place], 0, RESTORING.groups[place].nbytes)
    group, offset, nbytes = place
    return RestoredBlock(RESTORING.groups[group], offset, nbytes)
