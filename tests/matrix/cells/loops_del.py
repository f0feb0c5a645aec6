"""Names deleted in the cell, before, in and after its loops, do not come back."""
# %% setup
import random

random.seed(251)
big = list(range(1000))
scratch = {"a": 1}
# %% cell
total = sum(big)
del big
for step in range(75):
    part = [random.random() for _ in range(10)]
    total += max(part)
    tick()
    if step == 40:
        del scratch
    del part
for step in range(75):
    temporary = step
    tick()
del step, temporary
names = sorted(name for name in ("big", "scratch", "part", "step", "temporary") if name in globals())
(total, names)
