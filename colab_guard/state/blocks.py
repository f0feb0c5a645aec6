"""Blocks of memory behind tensors and arrays: each once, whoever looks into it, so that views stay views.

A torch storage, the memory that a numpy array owns, and memory that both look into are one kind of thing here: an
address range. Blocks of some size go outside the pickle; small ones go in.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from colab_guard.errors import CannotResume, SnapshotRefused
from colab_guard.store import BufferDraft

INLINE_BYTES = 1024


@dataclass(slots=True)
class Block:
    """One range of memory. `owner` keeps it alive until it is copied; `device` is torch's name of where it lies."""

    key: str
    address: int
    nbytes: int
    owner: Any
    device: str = "cpu"
    torch: bool = False
    numpy: bool = False
    label: str = ""
    dtype: str = "uint8"
    shape: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        inline = _copy(self) if self.nbytes < INLINE_BYTES else None
        return rebuild_block, (self.key, self.nbytes, self.device, inline)


@dataclass(slots=True)
class Blocks:
    """The blocks met during one capture."""

    by_place: dict[tuple[str, int], Block] = field(default_factory=dict)

    def at(self, device: str, address: int, nbytes: int, owner: Any) -> Block:
        """The block that begins at `address`, or holds it; SnapshotRefused where two overlap without one holding the other."""
        found = self.by_place.get((device, address))
        if found is not None and found.nbytes >= nbytes:
            return found
        if nbytes:
            for block in self.by_place.values() if device == "cpu" and self._mixed() else ():
                if block.device == device and address < block.address + block.nbytes and block.address < address + nbytes:
                    if block.address <= address and address + nbytes <= block.address + block.nbytes:
                        return block
                    raise SnapshotRefused("an array and a tensor look into overlapping parts of the same memory")
        block = Block(f"b{len(self.by_place)}", address, nbytes, owner, device)
        # an empty block has no place of its own
        self.by_place[(device, address if nbytes else -len(self.by_place) - 1)] = block
        return block

    def _mixed(self) -> bool:
        return any(b.numpy for b in self.by_place.values()) and any(b.torch for b in self.by_place.values())

    def drafts(self) -> list[BufferDraft]:
        """Private copies of all blocks that are not inside the pickle."""
        return [
            BufferDraft(b.key, _copy(b), b.dtype, b.shape, b.stride, b.label)
            for b in self.by_place.values()
            if b.nbytes >= INLINE_BYTES
        ]

    def sharing(self) -> dict[str, str]:
        """For a restore: which blocks both libraries look into."""
        return {b.key: "both" for b in self.by_place.values() if b.torch and b.numpy}


def _copy(block: Block) -> bytes:
    if block.nbytes == 0:
        return b""
    if type(block.owner).__name__ == "UntypedStorage":
        import torch

        flat = torch.empty(0, dtype=torch.uint8, device=block.device).set_(block.owner)
        return flat.cpu().numpy().tobytes()
    import numpy

    order = "C" if block.owner.flags.c_contiguous else "F"
    return bytes(numpy.asarray(block.owner).tobytes(order=order))


class Restoring(threading.local):
    """What the functions that rebuild objects need to know while a restore runs."""

    buffers: Mapping[str, bytearray] = {}
    sharing: Mapping[str, str] = {}
    live: Any = None


RESTORING = Restoring()


class RestoredBlock:
    """Memory brought back; as a torch storage, as a numpy buffer, or as both over the same bytes."""

    def __init__(self, key: str, nbytes: int, device: str, inline: bytes | None) -> None:
        data = bytearray(inline) if inline is not None else RESTORING.buffers[key]
        if len(data) != nbytes:
            raise CannotResume(f"buffer {key} has {len(data)} bytes instead of {nbytes}")
        self._data = data
        self._device = device
        self._shared = RESTORING.sharing.get(key) == "both"
        self._storage: Any = None

    @property
    def buffer(self) -> bytearray:
        return self._data

    @property
    def storage(self) -> Any:
        if self._storage is None:
            self._storage = self._make_storage()
        return self._storage

    def _make_storage(self) -> Any:
        import torch

        if not self._data:
            return torch.UntypedStorage(0, device=self._device)
        view = torch.frombuffer(self._data, dtype=torch.uint8)
        if self._shared:
            return view.untyped_storage()
        if self._device != "cpu" and not _device_usable(self._device):
            raise CannotResume(
                f"the snapshot holds tensors of {self._device}, which this machine does not have; "
                "run on the same kind of device, or --fresh"
            )
        return torch.empty(len(self._data), dtype=torch.uint8, device=self._device).copy_(view).untyped_storage()


def _device_usable(device: str) -> bool:
    import torch

    kind = torch.device(device).type
    module = getattr(torch, kind, None)
    return bool(module is not None and module.is_available())


def rebuild_block(key: str, nbytes: int, device: str, inline: bytes | None) -> RestoredBlock:
    return RestoredBlock(key, nbytes, device, inline)
