"""A generator of this cell that keeps state, half used when the loop around it goes on."""
# %% setup
import random

random.seed(111)
# %% cell
def numbers(start):
    total = start
    while True:
        total += random.random()
        if total > 1000:
            return
        yield total


stream = numbers(5.0)
head = [next(stream) for _ in range(3)]
out = []
for value in stream:
    out.append(value)
    tick()
    if len(out) >= 140:
        break
rest = next(stream)
(head, rest, len(out))
