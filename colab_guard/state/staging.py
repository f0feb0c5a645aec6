"""Memory of our own into which captures copy the user's: kept from capture to capture, never more than the state itself.

Copying into memory that was written before is many times faster than into fresh memory. Each piece of the user's memory
has a slot. What lies there is compared with what is in its slot first: memory that did not change keeps its `stamp`, by
which a store knows without hashing that it has these bytes. (The comparison of memory that did change ends at once.)
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from colab_guard.errors import SnapshotRefused
from colab_guard.store import BufferDraft

Place = tuple[str, int, int]
"""Device, address, bytes."""
SMALL = 8 * 2**20
"""Bytes for which nobody has to be asked whether there is room."""
MAPPED = 2**20
"""Bytes from which on memory is the kernel's own to give, and not the heap's."""
BRIEF = 64 * 1024
"""Bytes for which the GIL is kept: others would have it for longer than the copy takes."""
_MEMORY = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_libc, _libc_with_gil = ctypes.CDLL(None), ctypes.PyDLL(None)
for _of in (_libc, _libc_with_gil):
    _of.memcmp.argtypes, _of.memcmp.restype = _MEMORY, ctypes.c_int
    _of.memmove.argtypes, _of.memmove.restype = _MEMORY, None
_BRIEFLY = _libc_with_gil.memcmp, _libc_with_gil.memmove
_AT_LEISURE = _libc.memcmp, _libc.memmove


def _not_known() -> int | None:
    return None


class Slot:
    """Some memory of ours. `stamp` stands for its content, and is another object whenever that changes."""

    __slots__ = ("_compare", "_move", "address", "nbytes", "pinned", "stamp", "steady", "view")

    def __init__(self, nbytes: int, pinned: Any = None) -> None:
        self.nbytes = nbytes
        self._compare, self._move = _BRIEFLY if nbytes <= BRIEF else _AT_LEISURE
        self.stamp: object | None = None
        self.steady = 0
        """How often in a row the same memory held what it had held before."""
        self.pinned = pinned
        """A tensor of page-locked memory, for what comes from a device."""
        if pinned is None:
            memory = bytearray(nbytes) if nbytes < MAPPED else _mapped(nbytes)
            self.view = memoryview(memory)
            self.address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) if nbytes else 0
        else:
            self.view = memoryview(pinned.numpy())
            self.address = pinned.data_ptr()

    def fill(self, address: int) -> None:
        """Take in the memory at `address`. Lets go of the GIL, unless there is little of it."""
        if self.holds(address):
            self.steady += 1
            return
        self.steady = 0
        self.stamp = None  # also where this is interrupted
        self._move(self.address, address, self.nbytes)
        self.stamp = object()

    def holds(self, address: int) -> bool:
        """Whether the memory at `address` is what lies here."""
        return self.stamp is not None and self._compare(self.address, address, self.nbytes) == 0


def _mapped(nbytes: int) -> mmap.mmap:
    """Memory apart from the heap, where it would take the holes that training leaves between two steps.

    Each step then grew and trimmed the heap anew (measured: 20,000 page faults more a step). Large pages are not asked for:
    in a virtual machine that gives free memory back to its host they are what has to be fetched again, at 2 ms each.
    """
    try:
        return mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no {nbytes:,} bytes for a copy of the state: {error}") from error


_NONE = Slot(0)


@dataclass(slots=True)
class Layout:
    """How blocks become buffers. It is the same for the same blocks (`told`), wherever in memory they lie."""

    told: list[Any]
    table: str
    small: list[tuple[int, int]]
    alone: list[tuple[int, int]]
    """Numbers of groups, and the bytes of each."""
    slots: list[Slot] = field(default_factory=list)
    drafts: list[BufferDraft] = field(default_factory=list)


class Staging:
    """The slots of one piece of guarded work. What a capture gave out holds until the next one begins."""

    def __init__(self) -> None:
        self._slots: dict[Place, Slot] = {}
        self._last: tuple[list[Place], list[Slot]] = ([], [])
        """Of which places these are the slots."""
        self.room: Callable[[], int | None] = _not_known
        """How many bytes may be taken before memory is short."""
        self.layout: Layout | None = None
        """How the last capture's blocks became buffers."""
        self.at_once: set[Place] = set()
        """Memory that was written to while it was to be copied beside training."""

    def make_sure(self, nbytes: int) -> None:
        """Raise SnapshotRefused where so many bytes would leave too little: a snapshot never is what kills the kernel."""
        room = self.room() if nbytes > SMALL else None
        if room is not None and nbytes > room:
            left = f"{max(room, 0) / 2**20:,.0f} MiB are left"
            raise SnapshotRefused(f"{nbytes / 2**20:,.0f} MiB for a copy of the state are not free: {left}")

    def shed(self) -> None:
        """Let all of it go; what a capture gave out holds as long as it is held."""
        self._slots.clear()
        self._last = [], []
        self.layout = None

    @property
    def nbytes(self) -> int:
        return sum(slot.nbytes for slot in self._slots.values())

    def slots(self, places: list[Place]) -> list[Slot]:
        """One for each; those of memory that is not among them any more are used for other memory, or let go.

        Where there is no room for new ones SnapshotRefused is raised.
        """
        (before, slots), self._last = self._last, ([], [])
        if before and len(before) == len(places):
            other = [number for number, place in enumerate(places) if place != before[number]]
            gone = {before[number] for number in other}
        else:
            other, gone, slots = list(range(len(places))), set(self._slots), [_NONE] * len(places)
        self._exchange(gone, [places[number] for number in other])
        for number in other:
            slots[number] = self._slots[places[number]]
        self._last = places, slots
        return list(slots)

    def _exchange(self, gone: set[Place], wanted: list[Place]) -> None:
        """Let those that are gone go, in favour of others that are wanted."""
        free: dict[tuple[bool, int], list[Slot]] = {}
        for place in gone.difference(wanted):
            slot = self._slots.pop(place)
            free.setdefault((slot.pinned is not None, slot.nbytes), []).append(slot)
        new = [place for place in wanted if place not in self._slots]
        used = {place: waiting.pop() for place in new if (waiting := free.get((place[0] != "cpu", place[2])))}
        free.clear()  # before anything is made: never more than the state
        self.make_sure(sum(place[2] for place in new if place not in used))
        for place in new:
            slot = self._slots[place] = used.get(place) or _made(place)
            slot.steady = 0


def _made(place: Place) -> Slot:
    device, _, nbytes = place
    if not device.startswith("cuda"):
        return Slot(nbytes)
    import torch

    return Slot(nbytes, torch.empty(nbytes, dtype=torch.uint8, pin_memory=True))


def fill_from_devices(pairs: Iterable[tuple[Any, str, Slot]]) -> None:
    """Take in the storages of tensors on devices, of which (storage, device, slot) is given; blocks until all is here.

    CUDA's go over a stream of their own into page-locked memory, one after the other without waiting in between.
    """
    pairs = list(pairs)
    if not pairs:
        return
    import torch

    streams: dict[str, Any] = {}
    queued: list[Slot] = []
    for storage, device, slot in pairs:
        flat = torch.empty(0, dtype=torch.uint8, device=device).set_(storage)
        if slot.pinned is None:
            slot.fill((here := flat.cpu()).data_ptr())
            del here
            continue
        if device not in streams:
            streams[device] = torch.cuda.Stream(device)
            streams[device].wait_stream(torch.cuda.current_stream(torch.device(device)))
        slot.stamp = None
        with torch.cuda.stream(streams[device]):
            slot.pinned.copy_(flat, non_blocking=True)
        queued.append(slot)
    for stream in streams.values():
        stream.synchronize()
    for slot in queued:
        slot.stamp = object()
