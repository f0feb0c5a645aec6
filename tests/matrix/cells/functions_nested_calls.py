"""Loops in functions that call each other, three calls deep, with values that come back through `return`."""
# depth: 5
# %% setup
import random

random.seed(3)


def inner(count, scale):
    total = 0.0
    for i in range(count):
        total += scale * random.random()
        tick()
    return total


def middle(rows):
    sums = []
    for row in range(rows):
        sums.append(row + inner(5, scale=1 + row))
    return sums


def outer(times):
    everything = {}
    for turn in range(times):
        everything[turn] = middle(5)
    return everything
# %% cell
found = outer(6)
flat = sorted(x for row in found.values() for x in row)
flat[:3]
