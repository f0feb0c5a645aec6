"""The `global` statement: a function that changes the notebook's names while it loops."""
# depth: 2
# %% setup
import random

random.seed(51)
best, steps, trail = -1.0, 0, []


def search(count):
    global best, steps
    for _ in range(count):
        steps += 1
        draw = random.random()
        if draw > best:
            best = draw
            trail.append((steps, best))
        tick()
    steps += 1000
# %% cell
for turn in range(10):
    search(14)
    trail.append(None)
(best, steps, len(trail))
