"""Methods: `super()`, properties with loops, class methods, static methods, and a subclass that overrides."""
# depth: 3
# %% setup
import random

random.seed(81)


class Base:
    registry = []

    def __init__(self, size):
        self.values = []
        for _ in range(size):
            self.values.append(random.random())
            tick()
        self.registry.append(self)

    def step(self):
        for index in range(len(self.values)):
            self.values[index] += random.random()
            tick()
        return sum(self.values)

    @property
    def spread(self):
        low, high = self.values[0], self.values[0]
        for value in self.values:
            low, high = min(low, value), max(high, value)
            tick()
        return high - low

    @classmethod
    def of_sizes(cls, sizes):
        return [cls(size) for size in sizes]

    @staticmethod
    def mean(things):
        total = 0.0
        for thing in things:
            total += thing
            tick()
        return total / len(things)


class Sub(Base):
    def __init__(self, size, name):
        super().__init__(size)
        self.name = name

    def step(self):
        results = []
        for _ in range(2):
            results.append(super().step())
        return results
# %% cell
things = []
for number in range(3):
    things.append(Sub(6, f"s{number}"))
for turn in range(2):
    for thing in things:
        thing.step()
spreads = [thing.spread for thing in things]
mean = Sub.mean(spreads)
(mean, len(Base.registry), things[0] is Base.registry[0])
