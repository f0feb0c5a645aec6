"""When the work will have ended: a range, since runs of a sweep differ. Nothing where nothing is known."""

from __future__ import annotations

import math
from statistics import fmean, stdev

from colab_guard.panel.state import Current, PanelState
from colab_guard.panel.view import Between, Sentence

SPREAD = 1.28
"""Standard deviations on each side: four in five sweeps end inside, where their runs scatter alike (held by a test)."""
FEW = 1.2
"""A deviation that is known from a few runs only counts for more (Student's t, roughly)."""
LEAST = 0.1
"""No range is narrower than so much of its middle on each side: speed changes too."""
ONE_RUN = 0.5
"""After a single run nothing is known of how they differ."""


def eta(state: PanelState, now: float) -> Sentence:
    """`ends in 12 to 17 min`; empty where the work is over or nothing is known."""
    if state.phase != "running":
        return ()
    left = _sweep_left(state, now) if state.sweep is not None else _run_left(state.current)
    if left is None:
        return ()
    middle, spread = left
    spread = max(spread, LEAST * middle)
    return ("ends ", Between(now + max(0.0, middle - spread), now + middle + spread))


def _sweep_left(state: PanelState, now: float) -> tuple[float, float] | None:
    sweep = state.sweep
    assert sweep is not None
    running = next((row for row in sweep.rows if row.status == "running"), None)
    to_go = max(0, sweep.total - sweep.done - sweep.failed - (running is not None))
    own = (0.0, 0.0) if running is None else None if sweep.inner else _run_left(state.current)
    times = sweep.times
    if not times:
        if own is None or running is None or running.began is None:
            return None
        # the first run: the others are taken to be like it
        whole = now - running.began + own[0]
        return own[0] + to_go * whole, own[1] + to_go * whole * ONE_RUN
    mean = fmean(times)
    known = len(times)
    deviation = stdev(times) if known > 1 else ONE_RUN * mean
    if own is None:
        passed = now - running.began if running is not None and running.began is not None else 0.0
        own = max(0.0, mean - passed), deviation
    # single runs scatter, and their mean is known from a few only
    scatter = deviation * math.sqrt(to_go + to_go**2 / known)
    return own[0] + mean * to_go, own[1] + SPREAD * (1 + FEW / max(1, known - 1)) * scatter


def _run_left(current: Current | None) -> tuple[float, float] | None:
    if current is None or not current.rate or not current.total or current.total < current.step:
        return None
    seconds = (current.total - current.step) / current.rate
    return seconds, LEAST * seconds
