"""Loops in functions that a library calls (`sorted` with a key, `reduce`): it cannot be gone into, and goes on before it."""
# inside: no
# says: cannot be entered again
# %% setup
import functools
import random

random.seed(441)


def weight(item):
    total = 0
    for _ in range(6):
        total += random.randrange(10)
        tick()
    return total, item


def merge(left, right):
    for _ in range(4):
        left += right * random.random()
        tick()
    return left
# %% cell
for step in range(30):
    tick()
ordered = sorted(range(25), key=weight)
merged = functools.reduce(merge, ordered)
(ordered[:3], merged)
