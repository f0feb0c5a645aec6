"""A generator that an earlier cell made and had begun to use."""
# %% setup
import random

random.seed(121)


def batches(data, size):
    order = list(range(len(data)))
    while True:
        random.shuffle(order)
        for start in range(0, len(order), size):
            yield [data[i] for i in order[start : start + size]]


stream = batches([float(i) for i in range(21)], 4)
first = next(stream)
# %% cell
sums = []
for step in range(130):
    batch = next(stream)
    sums.append(sum(batch) + random.random())
    tick()
(first, sums[-1], len(batch))
