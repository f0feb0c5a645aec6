"""Functions of an earlier cell whose defaults, attributes and closed-over variables change in the guarded cell."""
# depth: 2
# %% setup
import random

random.seed(461)


def remember(item, *, seen={}, into=[]):
    for part in range(4):
        seen[item, part] = seen.get((item, part - 1), 0) + random.random()
        into.append(len(seen))
        remember.calls += 1
        tick()
    return into


remember.calls = 0


def counted(function):
    count, best = 0, None

    def counted(value):
        nonlocal count, best
        count += 1
        for step in range(3):
            best = max(best or 0, function(value + step))
            tick()
        return count, best

    return counted


@counted
def square(x):
    return x * x + random.random()
# %% cell
results = []
for turn in range(20):
    results.append((remember(turn % 5)[-1], square(turn)))
(results[-1], remember.calls, len(remember.__kwdefaults__["into"]))
# %% after
later = square(1)
