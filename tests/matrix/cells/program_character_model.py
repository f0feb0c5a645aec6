"""An n-gram model of characters: counted, smoothed, sampled from, and measured by its perplexity."""
# unit: 0.004
# %% setup
import math
import random
from collections import Counter, defaultdict

random.seed(1061)
TEXT = (
    "the cell is read and run again where it was left and all that it held is there again "
    "the loop goes on at the next item and the numbers that are drawn are those that would have been drawn "
) * 3
# %% cell
counts = {order: defaultdict(Counter) for order in (1, 2, 3)}
for order in counts:
    padded = " " * order + TEXT
    for place in range(order, len(padded), 6):
        for at in range(place, min(place + 6, len(padded))):
            counts[order][padded[at - order : at]][padded[at]] += 1
        tick()
letters = sorted(set(TEXT))


def chance(context, letter):
    total = 0.0
    for order, weight in ((3, 0.6), (2, 0.3), (1, 0.1)):
        seen = counts[order][context[-order:]]
        total += weight * (seen[letter] + 0.1) / (sum(seen.values()) + 0.1 * len(letters))
    return total


sample = "the"
while len(sample) < 150:
    weights = [chance(sample, letter) for letter in letters]
    sample += random.choices(letters, weights)[0]
    tick()
perplexity = math.exp(-sum(math.log(chance(TEXT[i - 3 : i], TEXT[i])) for i in range(3, 120)) / 117)
(sample[-30:], round(perplexity, 9), len(counts[3]))
