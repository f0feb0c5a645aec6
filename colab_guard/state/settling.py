"""The end of a capture: the memory that was met on the way is copied, or said to be copied beside what comes next.

Each range that is shared is one buffer. Buffers of some size stand alone, small ones are one part; the table says where
each block lies. With `Staging` the copies go into memory of ours that is used again, else into fresh memory.
"""

from __future__ import annotations

import ctypes
import json
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from colab_guard.errors import SnapshotRefused
from colab_guard.state.blocks import SMALL_BYTES, Block, Blocks
from colab_guard.state.overlap import LEAST_BYTES, NOTHING, Copy, Left, Overlap, is_frozen
from colab_guard.state.staging import Layout, Place, Slot, Staging, fill_from_devices
from colab_guard.store import BufferDraft

Later = Callable[[], Left]
"""What memory may be left to be copied later."""
_TOLD = operator.attrgetter("told")


@dataclass(slots=True)
class Settled:
    """Buffers that stand alone, small ones in a row, the table for a restore (the inside of a JSON object), and copies
    that are still to be made."""

    drafts: list[BufferDraft]
    small: bytes
    table: str
    overlap: Overlap | None


def settle(blocks: Blocks, staging: Staging | None = None, later: Later | None = None) -> Settled:
    """Copy the memory of all blocks; with `later`, some of it is left to the `overlap` that comes back."""
    here = Staging() if staging is None else staging
    groups = _groups(blocks)
    told = [*map(_TOLD, blocks.by_place.values()), *_shared(groups)]
    layout = here.layout
    if layout is None or layout.told != told:
        layout = here.layout = _laid_out(groups, told)
    small = b"".join([_small(groups[number], nbytes) for number, nbytes in layout.small])
    alone: list[tuple[Place, list[Block]]] = []
    for number, nbytes in layout.alone:
        first = groups[number][0]
        alone.append(((first.device, first.address, nbytes), groups[number]))
    slots = here.slots([place for place, _ in alone])
    if slots != layout.slots:
        layout.slots = slots
        layout.drafts = [_draft(members, slot) for (_, members), slot in zip(alone, slots, strict=True)]
    overlap = _copied(alone, slots, staging, later)
    return Settled(list(layout.drafts), small, layout.table, overlap)


def _groups(blocks: Blocks) -> list[list[Block]]:
    """Blocks by memory that they share, in the order in which they were met; in a group the lowest and longest first."""
    if _lie_apart(blocks):
        return [[block] for block in blocks.by_place.values()]
    shared: dict[Block, list[Block]] = {}
    lowest: Block | None = None
    end, device = 0, ""
    for place in sorted(place for place in blocks.by_place if place[2]):
        where, address, nbytes = place
        block = blocks.by_place[place]
        if lowest is not None and where == device and address < end:
            members = shared.setdefault(lowest, [lowest])
            members.append(block)
            shared[block] = members
            end = max(end, address + nbytes)
        else:
            lowest, device, end = block, where, address + nbytes
    found = list({id(group): group for block in blocks.by_place.values() for group in [shared.get(block, [block])]}.values())
    for members in found:
        if len(members) > 1:
            members.sort(key=_by_address)
    return found


def _lie_apart(blocks: Blocks) -> bool:
    """Whether nothing overlaps for sure: wherever one begins, all that began before have ended."""
    places = [place for place in blocks.by_place if place[2]]
    begins = sorted([address for _, address, _ in places])
    ends = sorted([address + nbytes for _, address, nbytes in places])
    return all(map(operator.le, ends, begins[1:]))


def _shared(groups: Sequence[Sequence[Block]]) -> list[Any]:
    """Where blocks lie that share memory: who, and how far from the first."""
    if len(groups) == sum(map(len, groups)):
        return []
    return [[(block.key, block.address - members[0].address) for block in members] for members in groups if len(members) > 1]


def _laid_out(groups: Sequence[Sequence[Block]], told: list[Any]) -> Layout:
    small, alone, at = list[tuple[int, int]](), list[tuple[int, int]](), 0
    places: dict[str, tuple[int, int, int] | int] = {}
    entries: list[dict[str, Any] | tuple[int, int, int]] = []
    for number, members in enumerate(groups):
        first = members[0]
        nbytes = first.nbytes
        if len(members) == 1 and nbytes < SMALL_BYTES and first.device == "cpu":
            # there may be a hundred thousand of these
            places[first.key] = number
            entries.append((nbytes, at, first.torch + 2 * (first.users == 1)))
            small.append((number, nbytes))
            at += nbytes
            continue
        if len(members) > 1:
            nbytes = _span(members)
        for block in members:
            places[block.key] = (number, block.address - first.address, block.nbytes)
        sole = len(members) == 1 and first.users == 1
        of_torch = first.torch if len(members) == 1 else any(block.torch for block in members)
        entry: dict[str, Any] = {"nbytes": nbytes, "device": first.device, "torch": of_torch, "sole": sole}
        entries.append(entry)
        if nbytes < SMALL_BYTES:
            entry["at"] = at
            small.append((number, nbytes))
            at += nbytes
        else:
            entry["key"] = first.key
            alone.append((number, nbytes))
    return Layout(told, json.dumps({"blocks": places, "groups": entries})[1:-1], small, alone)


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
    if nbytes == 0:
        return b""
    if first.device == "cpu":
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
    chosen = _chosen(alone, slots, staging, later) if later is not None and staging is not None else set[Place]()
    copies = []
    devices = []
    for (place, members), slot in zip(alone, slots, strict=True):
        if place in chosen:
            tensor = members[0].tensor
            copies.append(Copy.of(place, tensor, slot, members[0].label, frozen=is_frozen(tensor, slot)))
        elif place[0] == "cpu":
            slot.fill(place[1])
        else:
            devices.append((members[0].owner, place[0], slot))
    fill_from_devices(devices)
    return Overlap(copies, staging) if copies and staging is not None else None


def _chosen(
    alone: Sequence[tuple[Place, list[Block]]], slots: Sequence[Slot], staging: Staging, later: Later
) -> set[Place]:
    """What may be copied later: of some size, in host memory, known to one tensor only, never written to at a wrong time."""
    may = {
        place: (members[0].tensor, slot)
        for (place, members), slot in zip(alone, slots, strict=True)
        if place[2] >= LEAST_BYTES and members[0].tensor is not None and members[0].users == len(members) == 1 and place[0] == "cpu"
    }
    for place in staging.at_once.intersection(may):
        del may[place]
    left = later() if may else NOTHING
    return {place for place, (tensor, slot) in may.items() if left.takes(tensor, slot)}
