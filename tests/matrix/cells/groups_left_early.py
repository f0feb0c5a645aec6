"""Groups of sorted rows, some of which are left before their end."""
# depth: 1
# %% setup
import itertools
import random

random.seed(23)
rows = sorted((random.randrange(12), number) for number in range(90))
# %% cell
kept, skipped = [], {}
for key, group in itertools.groupby(rows, key=lambda row: row[0]):
    for place, (_, number) in enumerate(group):
        kept.append((key, number, random.random()))
        tick()
        if place >= key % 5:
            break
    skipped[key] = len(kept)
    tick()
len(kept), skipped
