"""The machine's memory and disk, and the connection."""

from __future__ import annotations

from dataclasses import replace

from colab_guard import events as e
from colab_guard.panel.measured import Freed, Memory
from colab_guard.panel.reducer import rows
from colab_guard.panel.reducer.common import Steps, said
from colab_guard.panel.state import Connection, PanelState
from colab_guard.panel.words import clip, duration


def _memory_sampled(state: PanelState, event: e.MemorySampled, at: float) -> PanelState:
    memory = Memory(
        event.host_used,
        event.host_limit,
        event.host_used,
        event.gpu_allocated,
        event.gpu_reserved,
        event.gpu_other,
        event.gpu_total,
        event.gpu_guard,
        disk_free=event.disk_free,
        disk_total=event.disk_total,
    )
    memory = replace(memory, gpu_peak=memory.gpu_used)
    if (old := state.memory) is not None:
        memory = replace(
            memory,
            host_peak=max(memory.host_used, old.host_peak),
            gpu_peak=None if memory.gpu_used is None else max(memory.gpu_used, old.gpu_peak or 0),
            host_series=old.host_series,
            gpu_series=old.gpu_series,
            series_at=old.series_at,
            marks=old.marks,
        )
    used = memory.used
    sweep = rows.running(state.sweep, lambda row: replace(row, peak=max(used, row.peak or 0)))
    return replace(state, memory=memory.sampled(at), sweep=sweep)


def _reclaimed(state: PanelState, event: e.MemoryReclaimed, at: float) -> PanelState:
    gpu = None
    if event.gpu_before is not None and event.gpu_after is not None:
        gpu = event.gpu_before - event.gpu_after
    holders = tuple(clip(holder, 40) for holder in event.holders[:3])
    freed = Freed(at, event.host_before - event.host_after, gpu, holders)
    return replace(_marked(state, at, "clear"), freed=freed)


def _marked(state: PanelState, at: float, kind: str) -> PanelState:
    return state if state.memory is None else replace(state, memory=state.memory.marked(at, kind))


def _pressure(state: PanelState, event: e.MemoryPressure, at: float) -> PanelState:
    state = _marked(state, at, event.level)
    return said(state, at, "bad" if event.level != "soft" else "warn", f"Memory is short: {event.what}")


def _recovered(state: PanelState, event: e.OutOfMemoryRecovered, at: float) -> PanelState:
    state = _marked(state, at, "recovery")
    state = replace(state, sweep=rows.running(state.sweep, lambda row: replace(row, did=clip(f"memory ran out: {event.did}", 100))))
    return said(state, at, "warn", f"{event.what[:1].upper()}{event.what[1:]}; {event.did} ({event.where})", 220)


def _beat(state: PanelState, event: e.HeartbeatSent, at: float) -> PanelState:
    known = state.connection
    return replace(state, connection=replace(known, beats=known.beats + 1, beat_at=at))


def _ping(state: PanelState, event: e.PingHeard, at: float) -> PanelState:
    known: Connection = state.connection
    trip = event.round_trip_s if event.round_trip_s is not None else known.round_trip_s
    returns = known.returns + (1 if known.lost else 0)
    heard = replace(known, pings=known.pings + 1, ping_at=at, round_trip_s=trip, lost=False, returns=returns)
    state = replace(state, connection=heard)
    return said(state, at, "good", "The browser is heard again") if known.lost else state


def _lost(state: PanelState, event: e.HeartbeatLost, at: float) -> PanelState:
    state = replace(state, connection=replace(state.connection, lost=True))
    return said(state, at, "warn", f"Nothing heard from the browser for {event.silent_s:.0f} s; the work goes on")


def _listener_failed(state: PanelState, event: e.ListenerFailed, at: float) -> PanelState:
    return said(state, at, "warn", f"{clip(event.who, 40)} had an error; the work goes on: {event.error}")


def _limit_near(state: PanelState, event: e.HostLimitNear, at: float) -> PanelState:
    whose = f" ({clip(event.whose, 60)})" if event.whose else ""
    told = f"This host may end the machine in {duration(event.left_s)}, {duration(event.limit_s)} after its start{whose}"
    told += "; a commit was asked for" if event.asked else ""
    return said(state, at, "warn", told)


def _released(state: PanelState, event: e.RuntimeReleased, at: float) -> PanelState:
    if event.kept:
        return said(state, at, "warn", f"The machine is kept: {event.kept}", 220)
    return said(state, at, "calm", "The work is done and durable: the machine is given back")


STEPS: Steps = {
    e.HostLimitNear: _limit_near,
    e.RuntimeReleased: _released,
    e.MemorySampled: _memory_sampled,
    e.MemoryReclaimed: _reclaimed,
    e.MemoryPressure: _pressure,
    e.OutOfMemoryRecovered: _recovered,
    e.HeartbeatSent: _beat,
    e.PingHeard: _ping,
    e.HeartbeatLost: _lost,
    e.ListenerFailed: _listener_failed,
}
