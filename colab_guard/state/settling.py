"""The end of a capture: the memory that was met on the way is copied, or said to be copied beside what comes next.

Each range that is shared is one buffer. Buffers of some size stand alone, small ones are one part; the table says where
each block lies. With `Staging` the copies go into memory of ours that is used again, else into fresh memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from colab_guard.errors import SnapshotRefused
from colab_guard.state.blocks import SMALL_BYTES, Block, Blocks
from colab_guard.state.overlap import LEAST_BYTES, Copy, Overlap
from colab_guard.state.staging import Place, Slot, Staging, fill_from_devices
from colab_guard.store import BufferDraft

Later = Callable[[], set[int] | None]
"""The ids of tensors whose memory may be copied later; None for all."""


@dataclass(slots=True)
class Settled:
    """Buffers that stand alone, small ones in a row, the table for a restore, and copies that are still to be made."""

    drafts: list[BufferDraft]
    small: bytes
    table: dict[str, Any]
    overlap: Overlap | None


@dataclass(slots=True)
class _Alone:
    """A buffer that stands alone."""

    members: list[Block]
    place: Place

    @property
    def first(self) -> Block:
        return self.members[0]


def settle(blocks: Blocks, staging: Staging | None = None, later: Later | None = None) -> Settled:
    """Copy the memory of all blocks; with `later`, some of it is left to the `overlap` that comes back."""
    small = bytearray()
    alone: list[_Alone] = []
    places: dict[str, tuple[int, int, int] | int] = {}
    groups: list[dict[str, Any] | tuple[int, int, int]] = []
    for members in _groups(blocks.by_place.values()):
        first = members[0]
        if len(members) == 1 and first.nbytes < SMALL_BYTES and first.device == "cpu":
            # there may be a hundred thousand of these
            places[first.key] = len(groups)
            groups.append((first.nbytes, len(small), first.torch + 2 * (first.users == 1)))
            small += ctypes.string_at(first.address, first.nbytes) if first.nbytes else b""
            continue
        group, nbytes = _described(members)
        for block in members:
            places[block.key] = (len(groups), block.address - first.address, block.nbytes)
        groups.append(group)
        if nbytes < SMALL_BYTES:
            group["at"] = len(small)
            small += _small(members, nbytes)
        else:
            group["key"] = first.key
            alone.append(_Alone(members, (first.device, first.address, nbytes)))
    slots = (Staging() if staging is None else staging).slots([one.place for one in alone])
    drafts = [_draft(one.members, slot) for one, slot in zip(alone, slots, strict=True)]
    overlap = _copied(alone, slots, staging, later)
    return Settled(drafts, bytes(small), {"blocks": places, "groups": groups}, overlap)


def _groups(blocks: Iterable[Block]) -> list[list[Block]]:
    """Blocks by memory that they share, each group by rising address."""
    found: list[list[Block]] = []
    end, device = 0, ""
    for block in sorted(blocks, key=_by_address):
        if block.nbytes and block.device == device and block.address < end:
            found[-1].append(block)
            end = max(end, block.address + block.nbytes)
            continue
        found.append([block])
        if block.nbytes:
            end, device = block.address + block.nbytes, block.device
    return found


def _by_address(block: Block) -> tuple[str, int, int]:
    return block.device, block.address, -block.nbytes


def _described(members: Sequence[Block]) -> tuple[dict[str, Any], int]:
    first = members[0]
    nbytes = max(b.address + b.nbytes for b in members) - first.address if first.nbytes else 0
    if first.device != "cpu" and first.nbytes < nbytes:
        raise SnapshotRefused(f"tensors on {first.device} look into overlapping parts of the same memory")
    sole = len(members) == 1 and first.users == 1
    return {"nbytes": nbytes, "device": first.device, "torch": any(b.torch for b in members), "sole": sole}, nbytes


def _small(members: Sequence[Block], nbytes: int) -> bytes:
    first = members[0]
    if nbytes == 0 or first.device == "cpu":
        return ctypes.string_at(first.address, nbytes)
    slot = Slot(nbytes)
    fill_from_devices([(first.owner, first.device, slot)])
    return bytes(slot.view)


def _draft(members: Sequence[Block], slot: Slot) -> BufferDraft:
    first = members[0]
    whole = next((b for b in members if b.nbytes == slot.nbytes), None)
    if whole is None:
        return BufferDraft(first.key, slot.view, "uint8", (slot.nbytes,), (1,), first.label, slot)
    return BufferDraft(first.key, slot.view, whole.dtype, whole.shape, whole.stride, whole.label, slot)


def _copied(alone: Sequence[_Alone], slots: Sequence[Slot], staging: Staging | None, later: Later | None) -> Overlap | None:
    """Copy now what must be copied now; what is left."""
    pairs = list(zip(alone, slots, strict=True))
    may = [one for one in alone if later is not None and staging is not None and _may_be_later(one, staging)]
    chosen = set[int]()
    if may and later is not None:
        ids = later()
        chosen = {id(one) for one in may if ids is None or id(one.first.tensor) in ids}
    fill_from_devices((one.first.owner, one.first.device, slot) for one, slot in pairs if one.first.device != "cpu")
    for one, slot in pairs:
        if one.first.device == "cpu" and id(one) not in chosen:
            slot.fill(one.first.address)
    copies = [Copy.of(one.place, one.first.tensor, slot, one.first.label) for one, slot in pairs if id(one) in chosen]
    return Overlap(copies, staging) if copies and staging is not None else None


def _may_be_later(one: _Alone, staging: Staging) -> bool:
    """Of some size, in host memory, known to one tensor only, and never yet written to at the wrong time."""
    first = one.first
    return (
        first.tensor is not None
        and first.device == "cpu"
        and len(one.members) == 1
        and first.nbytes >= LEAST_BYTES
        and one.place not in staging.at_once
    )
