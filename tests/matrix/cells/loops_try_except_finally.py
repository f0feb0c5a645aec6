"""Loops inside `try`, `except`, `else` and `finally`, and errors that are raised, wrapped and handled in them."""
# %% setup
import random

random.seed(201)


class Overflow(Exception):
    def __init__(self, value, place):
        super().__init__(value, place)
        self.place = place
# %% cell
log, total = [], 0
for turn in range(8):
    try:
        for step in range(10):
            total += random.randrange(10)
            tick()
            if total % 17 == 0:
                raise Overflow(total, step)
    except Overflow as error:
        log.append(("caught", error.args, error.place))
        for step in range(3):
            total -= step
            tick()
    else:
        for step in range(4):
            total += 1
            tick()
        log.append(("fine", turn))
    finally:
        for step in range(4):
            log.append((turn, step, total))
            tick()
(total, len(log))
