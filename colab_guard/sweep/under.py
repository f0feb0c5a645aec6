"""Which sweep a loop goes over, and which run an item holds, where the loop is written with `enumerate`, `zip`, a bar.

The iterators of Python's own that hand on what they are given are looked through by what they refer to; nothing is asked
for an item. A list of runs is no sweep: nobody tells it which of them are done.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import GeneratorType

from colab_guard.cells.iterators import BUILTIN_ITERATORS, ITERTOOLS
from colab_guard.sweep.iteration import SweepIterator
from colab_guard.sweep.run import Run
from colab_guard.sweep.sweep import Sweep

DEEPEST = 5
SEEN_THROUGH = BUILTIN_ITERATORS | ITERTOOLS


def sweep_under(iterable: object) -> Sweep | None:
    """The sweep that gives a loop over `iterable` its runs; None where there is none."""
    for thing in _below(iterable, DEEPEST):
        if isinstance(thing, SweepIterator):
            return thing.sweep
        if isinstance(thing, Sweep):
            return thing
    return None


def listed_under(iterable: object) -> Sweep | None:
    """The sweep whose runs, some of them waiting, a loop over `iterable` takes from a list."""
    for thing in _below(iterable, DEEPEST):
        if isinstance(thing, (list, tuple)) and thing and isinstance(thing[0], Run):
            waiting = any(isinstance(run, Run) and not run.finished for run in thing)
            return thing[0].sweep if waiting else None
    return None


def run_of(item: object) -> Run | None:
    """The run that an item is, or holds: `(number, run)`."""
    if isinstance(item, Run):
        return item
    if isinstance(item, tuple):
        return next((run for part in item if (run := run_of(part)) is not None), None)
    return None


def _below(thing: object, depth: int) -> Iterator[object]:
    """`thing`, and what it takes its items from."""
    yield thing
    if depth == 0 or isinstance(thing, (Sweep, SweepIterator, list)):
        return
    if isinstance(thing, tuple):  # zip holds its iterators in one
        below = list(thing) if len(thing) <= DEEPEST else []
    elif type(thing) in SEEN_THROUGH:
        below = gc.get_referents(thing)
    elif isinstance(thing, GeneratorType):  # a bar's own
        bar = thing.gi_frame.f_locals.get("self") if thing.gi_frame is not None else None
        below = [bar] if hasattr(bar, "iterable") else []
    else:
        bar = getattr(thing, "_bar", thing)
        below = [part for part in (getattr(bar, "iterable", None),) if part is not None]
    for part in below:
        yield from _below(part, depth - 1)
