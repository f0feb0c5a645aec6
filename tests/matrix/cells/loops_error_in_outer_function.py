"""Errors in the middle of an inner function, handled by an outer one, with retries."""
# depth: 3
# %% setup
import random

random.seed(211)
attempts = []


def fragile(item):
    parts = []
    for index in range(6):
        parts.append(random.random())
        tick()
        if parts[-1] > 0.9:
            raise RuntimeError(f"{item} at {index}")
    return parts


def careful(items):
    good, bad = {}, {}
    for item in items:
        for attempt in range(3):
            try:
                good[item] = fragile(item)
                break
            except RuntimeError as error:
                attempts.append((item, attempt))
                bad.setdefault(item, []).append(str(error))
        else:
            good[item] = None
    return good, bad
# %% cell
good, bad = careful([f"item{i}" for i in range(20)])
(len(good), sorted(bad.items())[:3], len(attempts))
