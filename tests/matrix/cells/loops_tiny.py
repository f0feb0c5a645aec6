"""A loop of 100,000 tiny iterations in a function, and one at the cell's level."""
# unit: 0
# %% setup
import random

random.seed(431)


def walk(steps):
    place, farthest = 0, 0
    for step in range(steps):
        place += 1 if random.random() < 0.5 else -1
        farthest = max(farthest, abs(place))
        if step % 100 == 0:
            tick()
    return place, farthest
# %% cell
histogram = [0] * 16
total = 0
for step in range(400_000):
    bits = random.getrandbits(4)
    histogram[bits] += 1
    total = (total * 31 + bits) % 1_000_003
    if step % 100 == 0:
        tick()
ends = []
for turn in range(40):
    ends.append(walk(100_000))
(total, ends)
