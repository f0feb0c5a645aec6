"""Star arguments, keyword-only ones and defaults that change, in functions with loops."""
# depth: 2
# %% setup
import random

random.seed(41)


def gather(first, /, *rest, label="x", into=[], **more):
    total = first
    for number, value in enumerate(rest):
        total += value * more.get("scale", 1)
        into.append((label, number, total + random.random()))
        tick()
    return total, into, more
# %% cell
seen = []
options = {"scale": 3, "other": [1]}
for turn in range(20):
    numbers = list(range(turn, turn + 8))
    total, collected, more = gather(*numbers, label=f"t{turn}", **options)
    more["other"].append(turn)
    seen.append(total)
(seen[-1], len(collected), options)
