"""`reduce(state, event, at)`: the next state. Pure, and of bounded cost however long the sweep is."""

from __future__ import annotations

from colab_guard.events import Event
from colab_guard.panel.reducer import machine, safety, sweep, work
from colab_guard.panel.reducer.common import Steps
from colab_guard.panel.state import PanelState


def reduce(state: PanelState, event: Event, at: float) -> PanelState:
    """The state after `event`, which happened at `at` (seconds since the epoch); unknown events change nothing."""
    step = _STEPS.get(type(event))
    return state if step is None else step(state, event, at)


_STEPS: Steps = {**work.STEPS, **safety.STEPS, **sweep.STEPS, **machine.STEPS}
