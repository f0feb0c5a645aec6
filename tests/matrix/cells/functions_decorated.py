"""Decorated functions: one decorator written in the notebook, with `functools.wraps` and a loop of its own."""
# depth: 3
# %% setup
import functools
import random

random.seed(8)
log = []


def repeated(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **options):
            results = []
            for attempt in range(times):
                results.append(function(*args, **options))
                log.append((function.__name__, attempt))
            wrapper.calls += 1
            return max(results)

        wrapper.calls = 0
        return wrapper

    return decorate


@repeated(3)
def sample(width, *, shift=0):
    """The largest of some draws."""
    largest = 0.0
    for _ in range(width):
        largest = max(largest, random.random() + shift)
        tick()
    return largest
# %% cell
best = []
for width in range(2, 10):
    best.append(sample(width, shift=width))
(sum(best), sample.calls, sample.__doc__)
