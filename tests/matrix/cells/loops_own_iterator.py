"""An iterator class of the notebook (`__iter__`, `__next__`), shared by two loops."""
# %% setup
import random

random.seed(381)


class Countdown:
    def __init__(self, start):
        self.left = start
        self.given = []

    def __iter__(self):
        return self

    def __next__(self):
        if self.left <= 0:
            raise StopIteration
        self.left -= 1
        self.given.append(random.random())
        return self.left, self.given[-1]


class Table:
    """Iterates by a generator method."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        for row in self.rows:
            yield row, random.random()
# %% cell
clock = Countdown(70)
first, second = [], []
for left, draw in clock:
    first.append(left * draw)
    tick()
    if left == 40:
        break
for left, draw in clock:
    second.append(left + draw)
    tick()
table = Table(list(range(8)))
for turn in range(9):
    for row, draw in table:
        second.append(row * draw)
        tick()
(len(first), len(second), clock.left, len(clock.given))
