"""Nested loops at the cell's level, with a list and a dict that grow."""
# %% setup
import random

random.seed(11)
# %% cell
out, table = [], {}
for epoch in range(6):
    seen = set()
    for step in range(5):
        for part in range(5):
            out.append(random.random())
            seen.add(step * part)
            table[epoch, step, part] = out[-1] * epoch
            tick()
    out.append(len(seen))
(sum(out), random.random())
