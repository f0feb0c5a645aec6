"""A pipeline of generators and generator expressions, each fed by the one before."""
# %% setup
import itertools
import random

random.seed(151)


def source():
    for number in itertools.count():
        yield number, random.random()


def windows(items, size):
    window = []
    for item in items:
        window.append(item)
        if len(window) == size:
            yield tuple(window)
            window.pop(0)


def only_rising(items):
    for window in items:
        if window[0][1] < window[-1][1]:
            yield window
# %% cell
pipeline = only_rising(windows(source(), 3))
strengths = (sum(value for _, value in window) for window in pipeline)
out = []
for strength in strengths:
    out.append(strength)
    tick()
    if len(out) == 140:
        break
(out[-1], len(out))
