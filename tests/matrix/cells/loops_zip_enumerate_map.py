"""`zip`, `enumerate`, `reversed`, `map` and `filter` at the heads of loops, each fed by another."""
# %% setup
import random

random.seed(311)
names = [f"n{i}" for i in range(9)]
# %% cell
out = []
for number, (name, value) in enumerate(zip(names, map(lambda n: len(n) + random.random(), names)), start=5):
    for back in reversed(range(4)):
        out.append((number, name, value * back))
        tick()
for kept in filter(lambda item: item[2] > 1.5, list(out)):
    out.append(kept)
    tick()
for left, right in zip(reversed(names), names, strict=True):
    for pair in map(str.join, (left, right), (right, left)):
        out.append(pair)
        tick()
for number, line in enumerate(reversed(out[:50])):
    out[number] = line
    tick()
(len(out), out[0], out[-1])
