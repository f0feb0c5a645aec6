"""Comprehensions of all kinds in loops, with walrus, conditions and nested functions that they call."""
# %% setup
import random

random.seed(291)


def weigh(value):
    return value * random.random()
# %% cell
rows, kept = [], {}
for turn in range(140):
    row = [weigh(x) for x in range(8) if x % 2 or turn % 3]
    squares = {x: y for x in row if (y := x * x) > 1}
    distinct = {int(10 * x) for x in row}
    grid = [[a * b for a in row[:2]] for b in row[:2]]
    kept[turn] = (len(squares), sum(sorted(distinct)), sum(sum(line) for line in grid))
    rows.append(row)
    tick()
(len(rows), kept[139])
