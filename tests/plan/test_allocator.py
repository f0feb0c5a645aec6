"""The simulated caching allocator keeps the rules of PyTorch's: rounding, pools, segments, best fit, splitting, merging."""

from __future__ import annotations

import random

import pytest

from colab_guard.plan.allocator import Caching, Counting

MIB = 1 << 20


@pytest.mark.parametrize(
    ("size", "allocated", "reserved"),
    [
        (1, 512, 2 * MIB),
        (512, 512, 2 * MIB),
        (513, 1024, 2 * MIB),
        (MIB, MIB, 2 * MIB),
        (MIB + 1, MIB + 512, 20 * MIB),
        (10 * MIB - 512, 10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB, 10 * MIB),
        # what is left of a segment stays with the block unless it is more than 1 MiB
        (11 * MIB, 12 * MIB, 12 * MIB),
        (19 * MIB + 1, 20 * MIB, 20 * MIB),
    ],
)
def test_a_request_is_rounded_and_a_segment_is_taken_for_it(size: int, allocated: int, reserved: int) -> None:
    device = Caching()
    device.malloc(size)
    assert (device.allocated, device.reserved) == (allocated, reserved)


def test_two_requests_of_6_mib_share_a_segment_and_a_third_with_12_does_not() -> None:
    device = Caching()
    for _ in range(3):
        device.malloc(6 * MIB)
    assert device.reserved == 20 * MIB, "3 times 6 of 20"
    device.malloc(6 * MIB)
    assert device.reserved == 40 * MIB


def test_the_smallest_block_that_holds_the_request_is_taken() -> None:
    device = Caching()
    blocks = [device.malloc(size * MIB) for size in (40, 12, 24)]
    for block in blocks:
        device.free(block)
    assert device.malloc(12 * MIB) is blocks[1]
    assert device.malloc(23 * MIB).size == 24 * MIB, "1 MiB is not split off"
    assert device.malloc(20 * MIB).size == 20 * MIB and device.reserved == 76 * MIB


def test_freed_neighbours_merge_and_serve_what_none_of_them_could() -> None:
    device = Caching()
    first, second, third = (device.malloc(6 * MIB) for _ in range(3))
    device.free(first)
    device.free(third)
    device.malloc(9 * MIB)
    assert device.reserved == 40 * MIB, "two free pieces of 6 and 8 are no 9"
    device.free(second)
    device.malloc(18 * MIB)
    assert device.reserved == 40 * MIB


def test_small_and_large_requests_never_share_a_segment() -> None:
    device = Caching()
    device.free(device.malloc(30 * MIB))
    device.malloc(1000)
    assert device.reserved == 32 * MIB


def test_a_growing_segment_fits_what_separate_segments_do_not() -> None:
    """A batch that grows a little each time: each size leaves a segment that the next one cannot use."""
    plain, growing = Caching(), Caching(expandable=True)
    for device in (plain, growing):
        for size in (30, 34, 38, 42):
            device.free(device.malloc(size * MIB))
    assert plain.reserved == 144 * MIB
    assert growing.reserved == 60 * MIB, "pages of 20 MiB up to the largest"


def test_a_growing_segment_is_extended_only_by_what_its_free_end_lacks() -> None:
    device = Caching(expandable=True)
    device.malloc(15 * MIB)
    device.malloc(15 * MIB)
    assert device.reserved == 40 * MIB
    device.malloc(10 * MIB)
    assert device.reserved == 40 * MIB
    device.malloc(2000)
    assert device.reserved == 42 * MIB


@pytest.mark.parametrize("expandable", [False, True])
def test_after_any_series_blocks_tile_their_segments_and_the_sums_agree(expandable: bool) -> None:
    chance = random.Random(expandable)
    device, live, count = Caching(expandable=expandable), [], Counting()
    for _ in range(3000):
        if live and chance.random() < 0.48:
            size, block, counted = live.pop(chance.randrange(len(live)))
            device.free(block)
            count.free(counted)
        else:
            size = int(2 ** chance.uniform(5, 26))
            live.append((size, device.malloc(size), count.malloc(size)))
    assert device.allocated == sum(block.size for _, block, _ in live)
    assert count.allocated == sum(size for size, _, _ in live)
    assert all(size <= block.size for size, block, _ in live)
    for _, block, _ in live:
        device.free(block)
    assert device.allocated == 0
    free = [block for pool in device._pools.values() for _, _, block in pool]
    assert sum(block.size for block in free) == device.reserved == device.peak_reserved
    assert all(block.before is None and block.after is None for block in free), "each segment is one free block again"
