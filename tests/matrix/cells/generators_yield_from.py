"""`yield from` through three generators, with a value that comes back from the inner one."""
# %% setup
import random

random.seed(131)


def leaf(label, count):
    total = 0
    for number in range(count):
        draw = random.randrange(100)
        total += draw
        yield label, number, draw
    return total


def branch(label):
    sums = []
    for part in range(3):
        sums.append((yield from leaf(f"{label}{part}", 5)))
    yield label, "sum", sum(sums)
    return max(sums)


def tree():
    best = 0
    for label in "abcdefgh":
        best = max(best, (yield from branch(label)))
    yield "best", "of all", best
# %% cell
out = []
for item in tree():
    out.append(item)
    tick()
out[-1]
