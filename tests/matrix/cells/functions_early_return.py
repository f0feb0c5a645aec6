"""Early returns out of nested loops, in `try/finally`, with what the loops had counted."""
# depth: 3
# %% setup
import random

random.seed(61)
exits = []


def find(target):
    tries = 0
    try:
        for row in range(6):
            for column in range(6):
                tries += 1
                tick()
                if random.randrange(12) == target:
                    return row, column, tries
        else:
            exits.append("exhausted")
        return None
    finally:
        exits.append(tries)
# %% cell
found = []
for target in range(12):
    found.append(find(target))
(found, exits)
