"""Loops under `if/elif/else`, conditional expressions, chained comparisons and short circuits that draw."""
# %% setup
import random

random.seed(401)


def draw(low=0):
    return low + random.random()
# %% cell
log = []
for turn in range(14):
    level = draw()
    if 0.2 < level <= 0.5 < draw() + 0.5:
        for step in range(10):
            log.append(("low", level, step))
            tick()
    elif level > 0.5 and (draw() > 0.3 or draw() > 0.9):
        step = 0
        while 0 <= step < 10 != level:
            log.append(("high", draw(step), step))
            step += 1
            tick()
    else:
        for step in range(10) if draw() > 0.5 else range(5, 15):
            log.append(("else", step))
            tick()
    best = max(log) if len(log) % 2 else min(log, key=lambda item: item[-1])
(len(log), best)
