"""Objects that are called, indexed, added and compared by methods with loops."""
# depth: 2
# %% setup
import random

random.seed(101)


class Polynomial:
    def __init__(self, coefficients):
        self.coefficients = list(coefficients)

    def __call__(self, x):
        total = 0.0
        for coefficient in reversed(self.coefficients):
            total = total * x + coefficient
            tick()
        return total

    def improve(self, data):
        for x, y in data:
            error = self(x) - y
            for power in range(len(self.coefficients)):
                self.coefficients[power] -= 0.01 * error * x**power
        return self

    def __add__(self, other):
        return Polynomial(a + b for a, b in zip(self.coefficients, other.coefficients))

    def __lt__(self, other):
        return self.coefficients < other.coefficients


data = [(x / 4, 1 + x / 2 - x * x / 30) for x in range(-3, 4)]
# %% cell
models = [Polynomial(random.random() for _ in range(3)) for _ in range(2)]
for epoch in range(4):
    for model in models:
        model.improve(data)
both = models[0] + models[1]
values = [both(x) for x in range(3)]
(values, models[0] < models[1])
