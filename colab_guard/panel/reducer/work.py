"""The work: its beginning, its end, and what is told on the way."""

from __future__ import annotations

from dataclasses import replace

from colab_guard import events as e
from colab_guard.panel.reducer import rows
from colab_guard.panel.reducer.common import LONG_LINE, Steps, fresh, heard_of, said, told_before
from colab_guard.panel.state import COMMITS, REASONS, Commit, MirrorPart, PanelState, Reached, RunRow
from colab_guard.panel.words import clip, duration


def _work_started(state: PanelState, event: e.WorkStarted, at: float) -> PanelState:
    if state.phase != "starting" or state.name != clip(event.name, 100):
        state = fresh(state, event.name)
    where = clip(event.where, 120) if event.where else None
    mirror = state.mirror if state.mirror.state != "off" else MirrorPart("waiting" if where else "off")
    return replace(state, phase="running", started=at, where=where, saves=event.saves, mirror=mirror)


def _work_ended(state: PanelState, event: e.WorkEnded, at: float) -> PanelState:
    state = replace(state, phase=event.outcome, ended=at, reason=clip(event.reason, 200), stopping="", stopping_after_run=False)
    sweep = state.sweep
    if sweep is not None:
        # a run that was interrupted is neither done nor failed: it will go on
        steps = state.current.step if state.current is not None and not sweep.inner else None
        state = replace(state, sweep=rows.running(sweep, lambda row: _unfinished(row, steps, at)))
    return state


def _unfinished(row: RunRow, steps: int | None, at: float) -> RunRow:
    return replace(row, status="unfinished", steps=steps, seconds=None if row.began is None else at - row.began)


def _resumed(state: PanelState, event: e.Resumed, at: float) -> PanelState:
    position = clip(event.position, 100)
    saved = Reached(event.commit, None, position, proof="its checksums, when it was read")
    commits = (*state.safety.commits, Commit(event.commit, position))[-COMMITS:]
    state = replace(state, safety=replace(state.safety, saved=saved, commits=commits, resumed=True))
    if event.source == "mirror":
        # it is there, and nothing has proved since this start that it stays
        there = Reached(event.commit, None, position, state.where or "the mirror")
        state = replace(state, safety=replace(state.safety, sent=there), mirror=heard_of(state.mirror))
    source = "" if event.source == "local" else f" (from the {event.source})"
    return said(state, at, "good", f"Resumed at {position}{source}")


def _committed_used(state: PanelState, event: e.CommittedUsed, at: float) -> PanelState:
    return said(state, at, "warn", f"The committed value is used, not this kernel's: {'; '.join(event.changes)}")


def _not_bit_exact(state: PanelState, event: e.NotBitExact, at: float) -> PanelState:
    when = {"now": "Resumed", "before": "Was resumed before"}.get(event.since, "Begun")
    state = replace(state, inexact=(*state.inexact, *(clip(reason, 120) for reason in event.reasons))[-REASONS:])
    return said(state, at, "warn", f"{when}, but not bit-exact: {'; '.join(event.reasons)}")


def _no_safe_point(state: PanelState, event: e.NoSafePoint, at: float) -> PanelState:
    return replace(state, no_points=tuple(clip(place, 200) for place in event.places[:REASONS]))


def _long_unsaved(state: PanelState, event: e.LongUnsaved, at: float) -> PanelState:
    refused = f"{event.refused} safe points refused: {'; '.join(event.reasons)}"
    return said(state, at, "warn", f"No snapshot for {duration(event.seconds)}: {refused}")


def _passed_over(state: PanelState, event: e.CommitPassedOver, at: float) -> PanelState:
    state = told_before(state, event.name)
    return said(state, at, "bad", f"A commit could not be used, what is whole was: {event.reason}")


def _moved_aside(state: PanelState, event: e.StoreMovedAside, at: float) -> PanelState:
    state = told_before(state, event.name)
    told = f"The local store is damaged ({clip(event.reason, 100)}): the mirror's is used, the damaged one is kept in {event.kept}"
    return said(state, at, "bad", told, LONG_LINE)


def _stop_requested(state: PanelState, event: e.StopRequested, at: float) -> PanelState:
    by = clip(event.by, 20)
    state = replace(state, stopping=by, stopping_after_run=event.after_unit)
    when = "after this model" if event.after_unit else "at the next safe point"
    return said(state, at, "warn", f"Stop asked for ({by}): stops {when}")


STEPS: Steps = {
    e.WorkStarted: _work_started,
    e.WorkEnded: _work_ended,
    e.Resumed: _resumed,
    e.CommittedUsed: _committed_used,
    e.NotBitExact: _not_bit_exact,
    e.NoSafePoint: _no_safe_point,
    e.LongUnsaved: _long_unsaved,
    e.CommitPassedOver: _passed_over,
    e.StoreMovedAside: _moved_aside,
    e.StopRequested: _stop_requested,
}
