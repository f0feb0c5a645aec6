"""The end of a capture: the memory that was met on the way is copied, or said to be copied beside what comes next.

Each range that is shared is one buffer. Buffers of some size stand alone, small ones are one part; the table says where
each block lies. With `Staging` the copies go into memory of ours that is used again, else into fresh memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from colab_guard.errors import SnapshotRefused
from colab_guard.state.blocks import SMALL_BYTES, Block, Blocks
from colab_guard.state.overlap import LEAST_BYTES, Copy, Overlap, versions_tell
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


def settle(blocks: Blocks, staging: Staging | None = None, later: Later | None = None) -> Settled:
    """Copy the memory of all blocks; with `later`, some of it is left to the `overlap` that comes back."""
    small = bytearray()
    alone: list[tuple[Place, list[Block]]] = []
    places: dict[str, tuple[int, int, int] | int] = {}
    groups: list[dict[str, Any] | tuple[int, int, int]] = []
    for members in _groups(blocks):
        first = members[0]
        nbytes = first.nbytes
        if len(members) == 1 and nbytes < SMALL_BYTES and first.device == "cpu":
            # there may be a hundred thousand of these
            places[first.key] = len(groups)
            groups.append((nbytes, len(small), first.torch + 2 * (first.users == 1)))
            small += ctypes.string_at(first.address, nbytes) if nbytes else b""
            continue
        if len(members) > 1:
            nbytes = _span(members)
        for block in members:
            places[block.key] = (len(groups), block.address - first.address, block.nbytes)
        sole = len(members) == 1 and first.users == 1
        of_torch = first.torch if len(members) == 1 else any(block.torch for block in members)
        group: dict[str, Any] = {"nbytes": nbytes, "device": first.device, "torch": of_torch, "sole": sole}
        groups.append(group)
        if nbytes < SMALL_BYTES:
            group["at"] = len(small)
            small += _small(members, nbytes)
        else:
            group["key"] = first.key
            alone.append(((first.device, first.address, nbytes), members))
    slots = (Staging() if staging is None else staging).slots([place for place, _ in alone])
    drafts = [_draft(members, slot) for (_, members), slot in zip(alone, slots, strict=True)]
    overlap = _copied(alone, slots, staging, later)
    return Settled(drafts, bytes(small), {"blocks": places, "groups": groups}, overlap)


def _groups(blocks: Blocks) -> list[list[Block]]:
    """Blocks by memory that they share, each group by rising address, of those that begin alike the longest first."""
    found: list[list[Block]] = []
    end, device = 0, ""
    for (where, address, nbytes), block in sorted(blocks.by_place.items()):
        if nbytes and where == device and address < end:
            found[-1].append(block)
            end = max(end, address + nbytes)
            continue
        found.append([block])
        if nbytes:
            end, device = address + nbytes, where
    for members in found:
        if len(members) > 1:
            members.sort(key=_by_address)
    return found


def _by_address(block: Block) -> tuple[int, int]:
    return block.address, -block.nbytes


def _span(members: Sequence[Block]) -> int:
    first = members[0]
    nbytes = max(b.address + b.nbytes for b in members) - first.address
    if first.device != "cpu" and first.nbytes < nbytes:
        raise SnapshotRefused(f"tensors on {first.device} look into overlapping parts of the same memory")
    return nbytes


def _small(members: Sequence[Block], nbytes: int) -> bytes:
    first = members[0]
    if nbytes == 0 or first.device == "cpu":
        return ctypes.string_at(first.address, nbytes)
    slot = Slot(nbytes)
    fill_from_devices([(first.owner, first.device, slot)])
    return bytes(slot.view)


def _draft(members: Sequence[Block], slot: Slot) -> BufferDraft:
    first = members[0]
    whole = first if first.nbytes == slot.nbytes else next((b for b in members if b.nbytes == slot.nbytes), None)
    if whole is None:
        return BufferDraft(first.key, slot.view, "uint8", (slot.nbytes,), (1,), first.label, slot)
    return BufferDraft(first.key, slot.view, whole.dtype, whole.shape, whole.stride, whole.label, slot)


def _copied(
    alone: Sequence[tuple[Place, list[Block]]], slots: Sequence[Slot], staging: Staging | None, later: Later | None
) -> Overlap | None:
    """Copy now what must be copied now; what is left."""
    chosen = _chosen(alone, staging, later) if later is not None and staging is not None else set[Place]()
    copies = []
    devices = []
    for (place, members), slot in zip(alone, slots, strict=True):
        if place in chosen:
            copies.append(Copy.of(place, members[0].tensor, slot, members[0].label))
        elif place[0] == "cpu":
            slot.fill(place[1])
        else:
            devices.append((members[0].owner, place[0], slot))
    fill_from_devices(devices)
    return Overlap(copies, staging) if copies and staging is not None else None


def _chosen(alone: Sequence[tuple[Place, list[Block]]], staging: Staging, later: Later) -> set[Place]:
    """What may be copied later: of some size, in host memory, known to one tensor only, never written to at a wrong time."""
    may = {
        place: members[0].tensor
        for place, members in alone
        if place[2] >= LEAST_BYTES and members[0].tensor is not None and members[0].users == len(members) == 1 and place[0] == "cpu"
    }
    for place in staging.at_once.intersection(may):
        del may[place]
    ids = later() if may else set[int]()
    return {place for place, tensor in may.items() if (versions_tell(tensor) if ids is None else id(tensor) in ids)}
