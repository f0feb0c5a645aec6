"""Generators that are closed and thrown into: `finally` and `except` in them, `GeneratorExit`."""
# %% setup
import random

random.seed(161)
events = []


def task(name):
    steps = 0
    try:
        while True:
            try:
                steps += 1
                yield name, steps, random.random()
            except ValueError as error:
                events.append((name, "told", str(error)))
    finally:
        events.append((name, "closed", steps))
# %% cell
tasks = {name: task(name) for name in ("a", "b", "c")}
out = []
for turn in range(45):
    for name, work in list(tasks.items()):
        out.append(next(work))
        tick()
    if turn % 10 == 9:
        out.append(tasks["a"].throw(ValueError(f"turn {turn}")))
    if turn == 30:
        tasks.pop("b").close()
(len(out), events)
