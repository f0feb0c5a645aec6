"""Memory of our own into which captures copy the user's: kept from capture to capture, never more than the state itself.

Copying into memory that was written before is many times faster than into fresh memory. Each piece of the user's memory
has a slot. What lies there is compared with what is in its slot first: memory that did not change keeps its `stamp`, by
which a store knows without hashing that it has these bytes. (The comparison of memory that did change ends at once.)
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from typing import Any

Place = tuple[str, int, int]
"""Device, address, bytes."""
_libc = ctypes.CDLL(None)
_compare = _libc.memcmp
_compare.argtypes, _compare.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t), ctypes.c_int


class Slot:
    """Some memory of ours. `stamp` stands for its content, and is another object whenever that changes."""

    __slots__ = ("address", "nbytes", "pinned", "stamp", "view")

    def __init__(self, nbytes: int, pinned: Any = None) -> None:
        self.nbytes = nbytes
        self.stamp: object | None = None
        self.pinned = pinned
        """A tensor of page-locked memory, for what comes from a device."""
        if pinned is None:
            memory = bytearray(nbytes)
            self.view = memoryview(memory)
            self.address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) if nbytes else 0
        else:
            self.view = memoryview(pinned.numpy())
            self.address = pinned.data_ptr()

    def fill(self, address: int) -> None:
        """Take in the memory at `address`. Lets go of the GIL for most of the time."""
        if self.stamp is not None and _compare(self.address, address, self.nbytes) == 0:
            return
        self.stamp = None  # also where this is interrupted
        ctypes.memmove(self.address, address, self.nbytes)
        self.stamp = object()


class Staging:
    """The slots of one piece of guarded work. What a capture gave out holds until the next one begins."""

    def __init__(self) -> None:
        self._slots: dict[Place, Slot] = {}
        self.at_once: set[Place] = set()
        """Memory that was written to while it was to be copied beside training."""

    @property
    def nbytes(self) -> int:
        return sum(slot.nbytes for slot in self._slots.values())

    def slots(self, places: Sequence[Place]) -> list[Slot]:
        """One for each; those of memory that is not among them any more are used for other memory, or let go."""
        wanted = set(places)
        free: dict[tuple[bool, int], list[Slot]] = {}
        for place in [place for place in self._slots if place not in wanted]:
            slot = self._slots.pop(place)
            free.setdefault((slot.pinned is not None, slot.nbytes), []).append(slot)
        new = [place for place in dict.fromkeys(places) if place not in self._slots]
        used = {place: waiting.pop() for place in new if (waiting := free.get((place[0] != "cpu", place[2])))}
        free.clear()  # before anything is made: never more than the state
        for place in new:
            self._slots[place] = used.get(place) or _made(place)
        return [self._slots[place] for place in places]


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
