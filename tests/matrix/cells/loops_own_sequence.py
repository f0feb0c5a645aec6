"""A Sequence class of the notebook, iterated by `__getitem__` and `__len__`, with random items."""
# depth: 2
# %% setup
import random
from collections.abc import Sequence

random.seed(391)


class Noisy(Sequence):
    def __init__(self, values):
        self.values = values
        self.reads = 0

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        if index >= len(self.values):
            raise IndexError(index)
        self.reads += 1
        return self.values[index] + random.random()


class Old:
    def __getitem__(self, index):
        if index == 10:
            raise IndexError
        return index * random.random()
# %% cell
noisy = Noisy([float(i) for i in range(12)])
out = []
for epoch in range(6):
    for item in noisy:
        out.append(item * epoch)
        tick()
    for item in Old():
        out.append(item)
        tick()
(sum(out), noisy.reads, noisy[0] > 0)
