"""What is saved, sent and durable, what stood in the way, and how the mirror does."""

from __future__ import annotations

from dataclasses import replace

from colab_guard import events as e
from colab_guard.panel.reducer import rows
from colab_guard.panel.reducer.common import LONG_LINE, Steps, heard_of, said, told_before
from colab_guard.panel.state import COMMITS, REASONS, Commit, MirrorPart, PanelState, Reached, Safety
from colab_guard.panel.words import clip, size


def _saved(state: PanelState, event: e.SnapshotSaved, at: float) -> PanelState:
    position = clip(event.position, 100)
    safety = replace(
        state.safety,
        saved=Reached(event.commit, at, position, captured=at - event.age_s, kind=event.kind),
        refused=0,
        failing=False,
        reason="",
        commits=(*state.safety.commits, Commit(event.commit, position, at - event.age_s))[-COMMITS:],
    )
    return replace(state, safety=safety, sweep=rows.committed(state.sweep, event.commit, event.units))


def _reached(safety: Safety, commit: str, where: str, at: float, proof: str = "") -> Reached:
    known = safety.known(commit)
    return Reached(commit, at, known.position, clip(where, 120), clip(proof, 60), known.captured)


def _sent(state: PanelState, event: e.SnapshotSent, at: float) -> PanelState:
    safety = replace(state.safety, sent=_reached(state.safety, event.commit, event.where, at))
    sweep = rows.reached(state.sweep, event.commit, "sent")
    return replace(state, safety=safety, mirror=heard_of(state.mirror), sweep=sweep)


def _durable(state: PanelState, event: e.SnapshotDurable, at: float) -> PanelState:
    safety = replace(state.safety, durable=_reached(state.safety, event.commit, event.where, at, event.receipt))
    if safety.sent is not None and safety.sent.at is None:
        safety = replace(safety, sent=None)  # of before this start: what is proved now takes its place
    sweep = rows.reached(state.sweep, event.commit, "durable")
    return replace(state, safety=safety, mirror=heard_of(state.mirror), sweep=sweep)


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
        return said(state, at, "bad", f"A snapshot could not be written: {reason}")
    return said(state, at, "warn", f"A snapshot was refused: {reason}")


def _not_kept(state: PanelState, event: e.NotKept, at: float) -> PanelState:
    state = replace(state, safety=replace(state.safety, not_kept=state.safety.not_kept + 1))
    return said(state, at, "warn", f"Not kept: {clip(event.what, 50)}: {event.why}")


def _files_put_back(state: PanelState, event: e.FilesPutBack, at: float) -> PanelState:
    where, names = clip(event.where, 160), LONG_LINE - 260
    if event.replaced:
        told = f"Put back as committed: {clip(', '.join(event.replaced), names)}; what lay there before is in {where}"
        state = said(state, at, "warn", told, LONG_LINE)
    if event.left:
        told = f"Edited since, left as it is: {clip(', '.join(event.left), names)}; the commit's version is in {where}/committed"
        state = said(state, at, "warn", told, LONG_LINE)
    return state


def _mirror_changed(state: PanelState, event: e.MirrorChanged, at: float) -> PanelState:
    before, reason = state.mirror, clip(event.reason, 140)
    state = replace(state, mirror=MirrorPart(event.state, reason, event.lag_s, event.bytes_per_s))
    if event.state == "degraded":
        known = (before.state, before.reason) == (event.state, reason)
        return state if known else said(state, at, "bad", f"Mirror degraded: {reason}")
    if event.state == "ok" and before.state == "degraded":
        return said(state, at, "good", "Mirror is back")
    return state


def _mirror_tried(state: PanelState, event: e.MirrorTried, at: float) -> PanelState:
    free = "" if event.free_bytes is None else f", {size(event.free_bytes)} free"
    proves = f"proves what it holds: {event.proof}" if event.proof else "proves nothing: commits there are sent, not durable"
    told = f"Mirror {clip(event.where, 80)}: written and read back in {event.seconds:.2g} s{free}; it {proves}"
    return said(told_before(state, event.name), at, "calm", told)


def _lease_waited_for(state: PanelState, event: e.LeaseWaitedFor, at: float) -> PanelState:
    told = f"{clip(event.where, 60)} is held by {clip(event.holder, 80)}, which shows no life: free in {event.seconds:.0f} s"
    return said(told_before(state, event.name), at, "warn", told)


def _not_freed(state: PanelState, event: e.SpaceNotFreed, at: float) -> PanelState:
    return said(state, at, "warn", f"Older commits could not be removed, the store grows: {event.reason}")


STEPS: Steps = {
    e.SnapshotSaved: _saved,
    e.SpaceNotFreed: _not_freed,
    e.SnapshotSent: _sent,
    e.SnapshotDurable: _durable,
    e.SnapshotNotTaken: _not_taken,
    e.NotKept: _not_kept,
    e.FilesPutBack: _files_put_back,
    e.MirrorChanged: _mirror_changed,
    e.MirrorTried: _mirror_tried,
    e.LeaseWaitedFor: _lease_waited_for,
}
