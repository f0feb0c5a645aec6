"""Loops inside `with`: contexts of the notebook as classes and by `contextmanager`, nested and with `as`."""
# depth: 2
# %% setup
import contextlib
import random

random.seed(231)
log = []


class Scale:
    current = 1.0

    def __init__(self, factor):
        self.factor = factor

    def __enter__(self):
        self.before = Scale.current
        Scale.current *= self.factor
        log.append(("in", self.factor))
        return self

    def __exit__(self, kind, error, trace):
        Scale.current = self.before
        log.append(("out", self.factor, kind and kind.__name__))
        return kind is ValueError


@contextlib.contextmanager
def collected(name):
    items = []
    log.append(("begin", name))
    try:
        yield items
    finally:
        log.append(("end", name, len(items)))
# %% cell
everything = {}
for turn in range(5):
    with Scale(2) as outer, Scale(turn + 1):
        with collected(f"turn{turn}") as items:
            for step in range(25):
                items.append(random.random() * Scale.current)
                tick()
                if turn == 3 and step == 20:
                    raise ValueError("enough")
            everything[turn] = items
    log.append(Scale.current)
(len(everything), log[-1], outer.before)
