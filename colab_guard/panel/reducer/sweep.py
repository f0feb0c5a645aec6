"""The sweep, its runs, and the steps of the one that trains.

Of two sweeps, one inside a run of the other, the outer one is shown: its end is what a person waits for. Of the inner one only
the run that trains is named, and what failed. A sweep that begins when no run is under way takes the place of the one before.
"""

from __future__ import annotations

from dataclasses import replace

from colab_guard import events as e
from colab_guard.panel.reducer import rows
from colab_guard.panel.reducer.common import LONG_LINE, Steps, said
from colab_guard.panel.state import Current, PanelState, SweepPart
from colab_guard.panel.words import clip, finite


def _sweep_started(state: PanelState, event: e.SweepStarted, at: float) -> PanelState:
    if rows.inside(state.sweep, event.sweep):
        return state
    part = SweepPart(clip(event.sweep, 60), event.total, event.done, event.failed, before=event.done + event.failed)
    known = state.sweep
    if known is not None and known.name == part.name:
        part = replace(part, rows=known.rows, ended=known.ended, times=known.times, best=known.best)
    return replace(state, sweep=part)


def _sweep_bypassed(state: PanelState, event: e.SweepBypassed, at: float) -> PanelState:
    name = clip(event.sweep, 40)
    where = f"A loop goes over a list of the runs of '{name}'"
    what = "loop over the sweep itself (`for run in sweep:`, `enumerate(sweep)`)"
    if event.inner:
        where, what = f"The loop over '{name}' stands inside several others", "write it in a function"
    told = f"{where}: none of them is skipped, marked or committed when it ends; {what}"
    return said(state, at, "warn", told, LONG_LINE)


def _unit_started(state: PanelState, event: e.UnitStarted, at: float) -> PanelState:
    return replace(state, sweep=rows.started(state.sweep, event, at), current=None)


def _unit_finished(state: PanelState, event: e.UnitFinished, at: float) -> PanelState:
    state = replace(state, sweep=rows.finished(state.sweep, event, state.current), current=None)
    if event.status == "failed":
        return said(state, at, "bad", f"{clip(event.label, 40)} failed: {event.reason}")
    return state


def _unit_skipped(state: PanelState, event: e.UnitSkipped, at: float) -> PanelState:
    return replace(state, sweep=rows.skipped(state.sweep, event))


def _step_done(state: PanelState, event: e.StepDone, at: float) -> PanelState:
    # the one event that comes many times a second: everything is made once
    now = state.current
    if now is None or event.step < now.step:
        now = Current(event.step, event.total, at, event.step, at)
    loss, best, curve, diverged = now.loss, now.best_loss, now.curve, now.diverged
    if event.loss is not None and finite(event.loss):
        loss, diverged = float(event.loss), ""
        best = loss if best is None else min(loss, best)
        curve = curve.add(loss)
    elif event.loss is not None:
        # shown as it is, never as the last good one; JSON has no word for it
        loss, diverged = None, clip(event.loss, 10)
    total = event.total if event.total is not None else now.total
    return replace(state, current=Current(event.step, total, at, now.first_step, now.first_at, loss, best, curve, diverged))


STEPS: Steps = {
    e.SweepStarted: _sweep_started,
    e.SweepBypassed: _sweep_bypassed,
    e.UnitStarted: _unit_started,
    e.UnitFinished: _unit_finished,
    e.UnitSkipped: _unit_skipped,
    e.StepDone: _step_done,
}
