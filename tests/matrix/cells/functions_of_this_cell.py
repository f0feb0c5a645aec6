"""Functions and a class defined in the guarded cell itself, with defaults made there."""
# depth: 3
# %% setup
import random

random.seed(21)
# %% cell
base = [random.random() for _ in range(3)]


def mix(values, weights=base, *, power=len(base)):
    total = 0.0
    for value in values:
        for weight in weights:
            total += (value * weight) ** power
            tick()
    return total


class Store:
    made = 0

    def __init__(self, name):
        self.name = name
        self.items = []
        Store.made += 1

    def fill(self, count):
        for index in range(count):
            self.items.append(mix([index, random.random()]))
        return self


stores = [Store("a").fill(7), Store("b").fill(8), Store("c").fill(7)]
base.append(0.5)
(Store.made, [len(store.items) for store in stores], mix.__defaults__[0] is base)
