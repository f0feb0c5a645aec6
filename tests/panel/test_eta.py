"""The range of the end, over many sweeps made up by a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from colab_guard.panel.eta import eta
from colab_guard.panel.state import PanelState, SweepPart
from colab_guard.panel.view import Between

TOTAL = 39
DRAWS: dict[str, Callable[[random.Random], float]] = {
    "scattered": lambda chance: max(5.0, chance.gauss(60, 20)),
    "long tail": lambda chance: chance.lognormvariate(4, 0.6),
    "four kinds of models": lambda chance: chance.choice([20.0, 40.0, 60.0, 200.0]),
}


def share_inside(draw: Callable[[random.Random], float], done: int, sweeps: int = 400) -> float:
    """How many of `sweeps` end in the range that is told when `done` of their runs have ended."""
    chance, inside = random.Random(1), 0
    for _ in range(sweeps):
        times = [draw(chance) for _ in range(TOTAL)]
        sweep = SweepPart("s", TOTAL, done=done, times=tuple(times[:done]))
        told = eta(PanelState(phase="running", started=0.0, sweep=sweep), 0.0)[1]
        assert isinstance(told, Between)
        inside += told.low <= sum(times[done:]) <= told.high
    return inside / sweeps


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("done", [5, 12, 25, 36])
def test_about_four_in_five_sweeps_end_in_the_range(kind: str, done: int) -> None:
    assert 0.7 <= share_inside(DRAWS[kind], done) <= 0.9
