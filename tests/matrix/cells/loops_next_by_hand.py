"""Iterators that are advanced by hand with `next()`, in two places, until `StopIteration`."""
# %% setup
import random

random.seed(321)
cards = list(range(120))
random.shuffle(cards)
deck = iter(cards)
# %% cell
hands = {"a": [], "b": []}
table = iter(range(10_000))
while True:
    try:
        hands["a"].append(next(deck))
        if hands["a"][-1] % 3 == 0:
            hands["b"].append(next(deck))
        hands["b"].append(-next(table))
    except StopIteration:
        break
    tick()
left = next(deck, "nothing")
for more in table:
    hands["a"].append(more)
    tick()
    if more > 120:
        break
(left, len(hands["a"]), hands["b"][-1])
