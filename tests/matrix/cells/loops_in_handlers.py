"""Loops in `except` and `finally` bodies: a second try, and clearing up, with the error at hand."""
# %% setup
import random

random.seed(481)
log = []
# %% cell
for turn in range(8):
    try:
        for step in range(8):
            log.append(step)
            tick()
        raise ValueError("no more", turn)
    except ValueError as error:
        for step in range(10):
            log.append((error.args, step, random.random()))
            tick()
        problem = error
    finally:
        for step in range(6):
            log.append(("finally", step, random.random()))
            tick()
(len(log), problem.args, log[-1])
