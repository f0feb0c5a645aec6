"""Iterators of itertools at the heads of loops: product, chain, islice, cycle, accumulate, groupby, pairwise, tee."""
# %% setup
import itertools
import random

random.seed(301)
letters = "abc"
# %% cell
out = []
for letter, number, flag in itertools.product(letters, range(4), (True, False)):
    out.append((letter, number * random.random(), flag))
    tick()
for item in itertools.chain(range(10), "xyz", itertools.repeat(5, 7)):
    out.append(item)
    tick()
for total in itertools.accumulate(random.random() for _ in range(15)):
    out.append(total)
    tick()
for key, group in itertools.groupby(sorted(len(str(x)) for x in out)):
    out.append((key, len(list(group))))
    tick()
wheel = itertools.cycle([1, 2, 3])
for one, other in itertools.pairwise(itertools.islice(wheel, 30)):
    out.append(one * other)
    tick()
first, second = itertools.tee(iter(range(20)))
for value in first:
    if value % 2:
        out.append(next(second))
    tick()
(len(out), next(wheel), list(second))
