"""`reduce(state, event, at)`: the next state. Pure, and of bounded cost however long the sweep is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from colab_guard import events as e
from colab_guard.panel import runs
from colab_guard.panel.state import (
    COMMITS,
    EVENTS,
    REASONS,
    SERIES_EVERY_S,
    SERIES_POINTS,
    Connection,
    Current,
    Freed,
    Line,
    Memory,
    MirrorPart,
    PanelState,
    Reached,
    Safety,
    SweepPart,
)
from colab_guard.panel.words import clip, duration, finite, size

LONG_LINE = 800
"""Characters of a line that names files: all of them are to be read."""
Step = Callable[[PanelState, Any, float], PanelState]


def reduce(state: PanelState, event: e.Event, at: float) -> PanelState:
    """The state after `event`, which happened at `at` (seconds since the epoch); unknown events change nothing."""
    step = _STEPS.get(type(event))
    return state if step is None else step(state, event, at)


def _said(state: PanelState, at: float, tone: str, text: str, limit: int = 140) -> PanelState:
    return replace(state, events=(*state.events, Line(at, tone, clip(text, limit)))[-EVENTS:])


def _fresh(state: PanelState, name: str) -> PanelState:
    """Another work begins: what is known of the machine and the connection stays."""
    return PanelState(name=clip(name, 100), phase="starting", memory=state.memory, connection=state.connection)


# the work


def _work_started(state: PanelState, event: e.WorkStarted, at: float) -> PanelState:
    if state.phase != "starting" or state.name != clip(event.name, 100):
        state = _fresh(state, event.name)
    where = clip(event.where, 120) if event.where else None
    mirror = state.mirror if state.mirror.state != "off" else MirrorPart("waiting" if where else "off")
    return replace(state, phase="running", started=at, where=where, mirror=mirror)


def _work_ended(state: PanelState, event: e.WorkEnded, at: float) -> PanelState:
    state = replace(state, phase=event.outcome, ended=at, reason=clip(event.reason, 200), stopping="")
    sweep = state.sweep
    if sweep is not None:
        # a run that was interrupted is neither done nor failed: it will go on
        rows = tuple(replace(row, status="unfinished") if row.status == "running" else row for row in sweep.rows)
        state = replace(state, sweep=replace(sweep, rows=rows))
    return state


def _resumed(state: PanelState, event: e.Resumed, at: float) -> PanelState:
    position = clip(event.position, 100)
    saved = Reached(event.commit, None, position)
    commits = (*state.safety.commits, (event.commit, position))[-COMMITS:]
    state = replace(state, safety=replace(state.safety, saved=saved, commits=commits))
    source = "" if event.source == "local" else f" (from the {event.source})"
    return _said(state, at, "good", f"Resumed at {position}{source}")


def _committed_used(state: PanelState, event: e.CommittedUsed, at: float) -> PanelState:
    return _said(state, at, "warn", f"The committed value is used, not this kernel's: {'; '.join(event.changes)}")


def _not_bit_exact(state: PanelState, event: e.NotBitExact, at: float) -> PanelState:
    when = {"now": "Resumed", "before": "Was resumed before"}.get(event.since, "Begun")
    state = replace(state, inexact=(*state.inexact, *(clip(reason, 120) for reason in event.reasons))[-REASONS:])
    return _said(state, at, "warn", f"{when}, but not bit-exact: {'; '.join(event.reasons)}")


def _no_safe_point(state: PanelState, event: e.NoSafePoint, at: float) -> PanelState:
    return replace(state, no_points=tuple(clip(place, 200) for place in event.places[:REASONS]))


def _long_unsaved(state: PanelState, event: e.LongUnsaved, at: float) -> PanelState:
    refused = f"{event.refused} safe points refused: {'; '.join(event.reasons)}"
    return _said(state, at, "warn", f"No snapshot for {duration(event.seconds)}: {refused}")


def _told_before(state: PanelState, name: str) -> PanelState:
    """The state for what is said while a store is opened, before the next work starts."""
    if state.over:
        return _fresh(state, name)
    return replace(state, name=clip(name, 100), phase="starting") if state.phase == "idle" else state


def _passed_over(state: PanelState, event: e.CommitPassedOver, at: float) -> PanelState:
    state = _told_before(state, event.name)
    return _said(state, at, "bad", f"A commit could not be used, what is whole was: {event.reason}")


def _moved_aside(state: PanelState, event: e.StoreMovedAside, at: float) -> PanelState:
    state = _told_before(state, event.name)
    told = f"The local store is damaged ({clip(event.reason, 100)}): the mirror's is used, the damaged one is kept in {event.kept}"
    return _said(state, at, "bad", told, LONG_LINE)


def _stop_requested(state: PanelState, event: e.StopRequested, at: float) -> PanelState:
    by = clip(event.by, 20)
    return _said(replace(state, stopping=by), at, "warn", f"Stop asked for ({by}): stops at the next safe point")


# what is safe


def _saved(state: PanelState, event: e.SnapshotSaved, at: float) -> PanelState:
    position = clip(event.position, 100)
    safety = replace(
        state.safety,
        saved=Reached(event.commit, at, position),
        refused=0,
        failing=False,
        reason="",
        commits=(*state.safety.commits, (event.commit, position))[-COMMITS:],
    )
    return replace(state, safety=safety)


def _reached(safety: Safety, commit: str, where: str, at: float) -> Reached:
    return Reached(commit, at, safety.position_of(commit), clip(where, 120))


def _heard_of(mirror: MirrorPart) -> MirrorPart:
    """A mirror that has taken a commit works; what is known in more detail stays."""
    return MirrorPart("ok") if mirror.state in ("waiting", "off") else mirror


def _sent(state: PanelState, event: e.SnapshotSent, at: float) -> PanelState:
    safety = replace(state.safety, sent=_reached(state.safety, event.commit, event.where, at))
    return replace(state, safety=safety, mirror=_heard_of(state.mirror))


def _durable(state: PanelState, event: e.SnapshotDurable, at: float) -> PanelState:
    safety = replace(state.safety, durable=_reached(state.safety, event.commit, event.where, at))
    return replace(state, safety=safety, mirror=_heard_of(state.mirror))


def _not_taken(state: PanelState, event: e.SnapshotNotTaken, at: float) -> PanelState:
    safety, reason = state.safety, clip(event.reason, 140)
    news = reason != safety.reason
    counts = dict(safety.refusals)
    counts[reason] = counts.pop(reason, 0) + 1
    refusals = tuple(counts.items())[-REASONS:]
    safety = replace(safety, refused=safety.refused + 1, failing=event.failed, reason=reason, refusals=refusals)
    state = replace(state, safety=safety)
    if not news:
        return state
    if event.failed:
        return _said(state, at, "bad", f"A snapshot could not be written: {reason}")
    return _said(state, at, "warn", f"A snapshot was refused: {reason}")


def _not_kept(state: PanelState, event: e.NotKept, at: float) -> PanelState:
    state = replace(state, safety=replace(state.safety, not_kept=state.safety.not_kept + 1))
    return _said(state, at, "warn", f"Not kept: {clip(event.what, 50)}: {event.why}")


def _files_put_back(state: PanelState, event: e.FilesPutBack, at: float) -> PanelState:
    where, names = clip(event.where, 160), LONG_LINE - 260
    if event.replaced:
        told = f"Put back as committed: {clip(', '.join(event.replaced), names)}; what lay there before is in {where}"
        state = _said(state, at, "warn", told, LONG_LINE)
    if event.left:
        told = f"Edited since, left as it is: {clip(', '.join(event.left), names)}; the commit's version is in {where}/committed"
        state = _said(state, at, "warn", told, LONG_LINE)
    return state


def _mirror_changed(state: PanelState, event: e.MirrorChanged, at: float) -> PanelState:
    before, reason = state.mirror, clip(event.reason, 140)
    state = replace(state, mirror=MirrorPart(event.state, reason, event.lag_s, event.bytes_per_s))
    if event.state == "degraded":
        return _said(state, at, "bad", f"Mirror degraded: {reason}")
    if event.state == "ok" and before.state == "degraded":
        return _said(state, at, "good", "Mirror is back")
    return state


def _mirror_tried(state: PanelState, event: e.MirrorTried, at: float) -> PanelState:
    free = "" if event.free_bytes is None else f", {size(event.free_bytes)} free"
    proves = f"proves what it holds: {event.proof}" if event.proof else "proves nothing: commits there are sent, not durable"
    told = f"Mirror {clip(event.where, 80)}: written and read back in {event.seconds:.2g} s{free}; it {proves}"
    return _said(_told_before(state, event.name), at, "calm", told)


def _lease_waited_for(state: PanelState, event: e.LeaseWaitedFor, at: float) -> PanelState:
    told = f"{clip(event.where, 60)} is held by {clip(event.holder, 80)}, which shows no life: free in {event.seconds:.0f} s"
    return _said(_told_before(state, event.name), at, "warn", told)


# the sweep and its steps


def _sweep_started(state: PanelState, event: e.SweepStarted, at: float) -> PanelState:
    part = SweepPart(clip(event.sweep, 60), event.total, event.done, event.failed, before=event.done + event.failed)
    known = state.sweep
    if known is not None and known.name == part.name:
        part = replace(part, rows=known.rows, best=known.best)
    return replace(state, sweep=part)


def _sweep_bypassed(state: PanelState, event: e.SweepBypassed, at: float) -> PanelState:
    name = clip(event.sweep, 40)
    where = f"A loop goes over a list of the runs of '{name}'"
    what = "loop over the sweep itself (`for run in sweep:`, `enumerate(sweep)`)"
    if event.inner:
        where, what = f"The loop over '{name}' stands inside several others", "write it in a function"
    told = f"{where}: none of them is skipped, marked or committed when it ends; {what}"
    return _said(state, at, "warn", told, LONG_LINE)


def _unit_started(state: PanelState, event: e.UnitStarted, at: float) -> PanelState:
    return replace(state, sweep=runs.started(state.sweep, event), current=None)


def _unit_finished(state: PanelState, event: e.UnitFinished, at: float) -> PanelState:
    state = replace(state, sweep=runs.finished(state.sweep, event, state.current), current=None)
    if event.status == "failed":
        return _said(state, at, "bad", f"{clip(event.label, 40)} failed: {event.reason}")
    return state


def _unit_skipped(state: PanelState, event: e.UnitSkipped, at: float) -> PanelState:
    return replace(state, sweep=runs.skipped(state.sweep, event))


def _step_done(state: PanelState, event: e.StepDone, at: float) -> PanelState:
    now = state.current
    if now is None or event.step < now.step:
        now = Current(event.step, event.total, at, event.step, at)
    total = event.total if event.total is not None else now.total
    now = replace(now, step=event.step, total=total, at=at)
    if event.loss is not None and finite(event.loss):
        loss = float(event.loss)
        best = loss if now.best_loss is None else min(loss, now.best_loss)
        now = replace(now, loss=loss, best_loss=best, curve=now.curve.add(loss), diverged="")
    elif event.loss is not None:
        # shown as it is, never as the last good one; JSON has no word for it
        now = replace(now, loss=None, diverged=clip(event.loss, 10))
    return replace(state, current=now)


# the machine and the connection


def _memory_sampled(state: PanelState, event: e.MemorySampled, at: float) -> PanelState:
    old = state.memory
    gpu = None if event.gpu_reserved is None else event.gpu_reserved + (event.gpu_other or 0)
    memory = Memory(
        event.host_used,
        event.host_limit,
        max(event.host_used, old.host_peak if old else 0),
        event.gpu_allocated,
        event.gpu_reserved,
        event.gpu_other,
        event.gpu_total,
        event.gpu_guard,
        None if gpu is None else max(gpu, (old.gpu_peak if old else None) or 0),
        old.host_series if old else (),
        old.gpu_series if old else (),
        old.series_at if old else 0.0,
    )
    if at - memory.series_at >= SERIES_EVERY_S or not memory.host_series:
        host = event.host_used / event.host_limit if event.host_limit else 0.0
        memory = replace(memory, host_series=(*memory.host_series, round(host, 3))[-SERIES_POINTS:], series_at=at)
        if gpu is not None and event.gpu_total:
            memory = replace(memory, gpu_series=(*memory.gpu_series, round(gpu / event.gpu_total, 3))[-SERIES_POINTS:])
    return replace(state, memory=memory)


def _reclaimed(state: PanelState, event: e.MemoryReclaimed, at: float) -> PanelState:
    gpu = None
    if event.gpu_before is not None and event.gpu_after is not None:
        gpu = event.gpu_before - event.gpu_after
    holders = tuple(clip(holder, 40) for holder in event.holders[:3])
    return replace(state, freed=Freed(at, event.host_before - event.host_after, gpu, holders))


def _pressure(state: PanelState, event: e.MemoryPressure, at: float) -> PanelState:
    return _said(state, at, "bad" if event.level != "soft" else "warn", f"Memory is short: {event.what}")


def _beat(state: PanelState, event: e.HeartbeatSent, at: float) -> PanelState:
    known = state.connection
    return replace(state, connection=replace(known, beats=known.beats + 1, beat_at=at))


def _ping(state: PanelState, event: e.PingHeard, at: float) -> PanelState:
    known: Connection = state.connection
    trip = event.round_trip_s if event.round_trip_s is not None else known.round_trip_s
    heard = replace(known, pings=known.pings + 1, ping_at=at, round_trip_s=trip, lost=False)
    state = replace(state, connection=heard)
    return _said(state, at, "good", "The browser is heard again") if known.lost else state


def _lost(state: PanelState, event: e.HeartbeatLost, at: float) -> PanelState:
    state = replace(state, connection=replace(state.connection, lost=True))
    return _said(state, at, "warn", f"Nothing heard from the browser for {event.silent_s:.0f} s; the work goes on")


def _listener_failed(state: PanelState, event: e.ListenerFailed, at: float) -> PanelState:
    return _said(state, at, "warn", f"{clip(event.who, 40)} had an error; the work goes on: {event.error}")


_STEPS: dict[type[e.Event], Step] = {
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
    e.SnapshotSaved: _saved,
    e.SnapshotSent: _sent,
    e.SnapshotDurable: _durable,
    e.SnapshotNotTaken: _not_taken,
    e.NotKept: _not_kept,
    e.FilesPutBack: _files_put_back,
    e.MirrorChanged: _mirror_changed,
    e.MirrorTried: _mirror_tried,
    e.LeaseWaitedFor: _lease_waited_for,
    e.SweepStarted: _sweep_started,
    e.SweepBypassed: _sweep_bypassed,
    e.UnitStarted: _unit_started,
    e.UnitFinished: _unit_finished,
    e.UnitSkipped: _unit_skipped,
    e.StepDone: _step_done,
    e.MemorySampled: _memory_sampled,
    e.MemoryReclaimed: _reclaimed,
    e.MemoryPressure: _pressure,
    e.HeartbeatSent: _beat,
    e.PingHeard: _ping,
    e.HeartbeatLost: _lost,
    e.ListenerFailed: _listener_failed,
}
