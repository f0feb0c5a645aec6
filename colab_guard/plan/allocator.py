"""What PyTorch's CUDA caching allocator would reserve for a series of requests, without a GPU.

The rules are those of `c10/cuda/CUDACachingAllocator.cpp` (the same in PyTorch 2.0 to 2.13) for one stream:

1. A request is rounded up to 512 bytes. Up to 1 MiB it is served from the small pool, else from the large one.
2. The smallest free block that holds it is taken (of equals the one with the lowest address). What is left of the block is
   split off and stays free: in the small pool from 512 bytes on, in the large one only above 1 MiB.
3. Without such a block a segment is asked of the device: 2 MiB for the small pool; 20 MiB for requests below 10 MiB; from
   there the request rounded up to 2 MiB.
4. A freed block merges with its free neighbours of the same segment. Segments go back to the device only when it is full.

With `expandable_segments` each pool is one segment that grows at its end, by pages of 2 MiB and of 20 MiB, and splits from
512 bytes on. What a host reserves in the end is `reserved`; what tensors hold of it is `allocated`.
"""

from __future__ import annotations

import bisect
from typing import Protocol

MIB = 1 << 20
ROUND = 512
SMALL_REQUEST = 1 * MIB
SMALL_SEGMENT = 2 * MIB
LARGE_SEGMENT = 20 * MIB
OWN_SEGMENT_FROM = 10 * MIB
ROUND_SEGMENT = 2 * MIB


class Allocator(Protocol):
    """Counts bytes: `peak_allocated` of what lives, `peak_reserved` of what is taken from the device for it."""

    peak_allocated: int
    peak_reserved: int

    def malloc(self, size: int) -> Block: ...

    def free(self, block: Block) -> None: ...


class Block:
    """A piece of a segment: `address` is only an order; `free` blocks lie in their pool's list."""

    __slots__ = ("address", "after", "before", "free", "size", "small")

    def __init__(self, address: int, size: int, small: bool) -> None:
        self.address = address
        self.size = size
        self.small = small
        self.free = False
        self.before: Block | None = None
        self.after: Block | None = None


class Counting:
    """The host's memory: each request as it is, given back at once."""

    def __init__(self) -> None:
        self.allocated = self.peak_allocated = self.peak_reserved = 0

    def malloc(self, size: int) -> Block:
        self.allocated += size
        self.peak_allocated = self.peak_reserved = max(self.peak_allocated, self.allocated)
        return Block(0, size, False)

    def free(self, block: Block) -> None:
        self.allocated -= block.size


class Caching:
    """The caching allocator of one device and one stream, never short of memory."""

    def __init__(self, *, expandable: bool = False) -> None:
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0
        self._expandable = expandable
        self._pools: dict[bool, list[tuple[int, int, Block]]] = {True: [], False: []}
        self._ends: dict[bool, Block | None] = {True: None, False: None}
        self._next_address = 0

    def malloc(self, size: int) -> Block:
        """Serve a request of `size` bytes."""
        size = max(-(-size // ROUND) * ROUND, ROUND)
        small = size <= SMALL_REQUEST
        block = self._best_fit(size, small)
        if block is None:
            block = self._grown(size, small) if self._expandable else self._segment(size, small)
        rest = block.size - size
        if rest >= ROUND if small or self._expandable else rest > SMALL_REQUEST:
            self._split(block, size)
        block.free = False
        self.allocated += block.size
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        return block

    def free(self, block: Block) -> None:
        """Take a block back and merge it with its neighbours."""
        self.allocated -= block.size
        before, after = block.before, block.after
        if before is not None and before.free:
            self._unlist(before)
            before.size += block.size
            self._link(before, after)
            if self._ends[block.small] is block:
                self._ends[block.small] = before
            block = before
        if after is not None and after.free:
            self._unlist(after)
            block.size += after.size
            self._link(block, after.after)
            if self._ends[block.small] is after:
                self._ends[block.small] = block
        self._list(block)

    def _best_fit(self, size: int, small: bool) -> Block | None:
        pool = self._pools[small]
        at = bisect.bisect_left(pool, (size, -1))
        if at == len(pool):
            return None
        # the end of a segment that can grow counts as larger than all others
        if pool[at][2] is self._ends[small] and at + 1 < len(pool):
            at += 1
        return pool.pop(at)[2]

    def _segment(self, size: int, small: bool) -> Block:
        if small:
            taken = SMALL_SEGMENT
        else:
            taken = LARGE_SEGMENT if size < OWN_SEGMENT_FROM else -(-size // ROUND_SEGMENT) * ROUND_SEGMENT
        return self._new(taken, small)

    def _grown(self, size: int, small: bool) -> Block:
        """The pool's one segment, grown at its end by whole pages until its last block holds `size`."""
        page = SMALL_SEGMENT if small else LARGE_SEGMENT
        end = self._ends[small]
        if end is not None and end.free:
            self._unlist(end)
            more = -(-(size - end.size) // page) * page
            end.size += more
            self._reserve(more)
            return end
        block = self._new(-(-size // page) * page, small)
        if end is not None:
            self._link(end, block)
        self._ends[small] = block
        return block

    def _new(self, size: int, small: bool) -> Block:
        self._next_address += 1
        self._reserve(size)
        return Block(self._next_address << 40, size, small)

    def _reserve(self, size: int) -> None:
        self.reserved += size
        self.peak_reserved = max(self.peak_reserved, self.reserved)

    def _split(self, block: Block, size: int) -> None:
        rest = Block(block.address + size, block.size - size, block.small)
        block.size = size
        self._link(rest, block.after)
        self._link(block, rest)
        if self._ends[block.small] is block:
            self._ends[block.small] = rest
        self._list(rest)

    @staticmethod
    def _link(block: Block, after: Block | None) -> None:
        block.after = after
        if after is not None:
            after.before = block

    def _list(self, block: Block) -> None:
        block.free = True
        bisect.insort(self._pools[block.small], (block.size, block.address, block))

    def _unlist(self, block: Block) -> None:
        pool = self._pools[block.small]
        del pool[bisect.bisect_left(pool, (block.size, block.address))]
        block.free = False
