"""Dicts and their views as the heads of loops: keys, values, items, reversed, and a dict whose values change meanwhile."""
# %% setup
import random
from collections import Counter, OrderedDict, defaultdict

random.seed(341)
table = {f"k{i}": i for i in range(25)}
# %% cell
counts, groups = Counter(), defaultdict(list)
for key in table:
    table[key] += random.randrange(10)
    tick()
for key, value in table.items():
    groups[value % 3].append(key)
    table[key] = -value
    tick()
for value in table.values():
    counts[abs(value) % 5] += 1
    tick()
for key in reversed(table):
    groups["back"].append(key)
    tick()
ordered = OrderedDict(sorted(table.items(), key=lambda item: item[1]))
for key, value in reversed(ordered.items()):
    ordered[key] = value * 2
    groups["order"].append(next(iter(ordered)))
    tick()
for key in list(table.keys() & groups.keys() | {"k1"}):
    del table[key]
(counts.most_common(), len(table), groups["back"][0], list(ordered)[0])
