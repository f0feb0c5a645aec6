"""Functions called through a lambda, `map` and a comprehension: some safe points are inside, all results are the same."""
# %% setup
import random

random.seed(71)


def noisy(x):
    total = x
    for _ in range(4):
        total += random.random()
        tick()
    return total


twice = lambda x: noisy(x) + noisy(-x)
# %% cell
out = []
for turn in range(6):
    out.append(twice(turn))
    out += [noisy(turn) for _ in range(2)]
    out.extend(map(noisy, range(2)))
sum(out)
