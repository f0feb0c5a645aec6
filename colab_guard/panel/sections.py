"""The view, part by part: each function gives one part of it in words."""

from __future__ import annotations

from colab_guard.panel.safety import risk, safety
from colab_guard.panel.state import Current, Memory, PanelState, RunRow
from colab_guard.panel.view import Ago, Bar, Fact, For, Happening, Row, Sentence, View
from colab_guard.panel.words import clip, clock_time, date_time, duration, number, size

# a sign, what it is called, and its tone: colour is never alone
PHASES = {
    "idle": ("○", "idle", "calm"),
    "starting": ("○", "starting", "calm"),
    "running": ("▶", "running", "calm"),
    "done": ("✓", "done", "good"),
    "failed": ("✗", "FAILED", "bad"),
    "stopped": ("■", "stopped", "warn"),
    "restored": ("✓", "done before, results restored", "good"),
}
SIGNS = {"running": "▶", "done": "✓", "failed": "✗", "unfinished": "■"}


def view(state: PanelState, now: float, room: float) -> View:
    """All of it; `room` below 1 shortens what is long."""
    sign, phase, tone = PHASES.get(state.phase, ("○", state.phase, "calm"))
    if state.stopping:
        sign, phase, tone = "■", "stopping at the next safe point", "warn"
    safety_tone, safety_words = safety(state)
    rows, more = _rows(state, room)
    return View(
        now=now,
        as_of=date_time(now),
        title=state.name or "colab_guard",
        sign=sign,
        phase=phase,
        tone=tone,
        running=state.phase == "running",
        elapsed=_elapsed(state),
        reason=clip(state.reason, int(200 * room)),
        safety=safety_words,
        safety_tone=safety_tone,
        risk=risk(state),
        bars=_bars(state),
        rows=rows,
        more=more,
        facts=_facts(state),
        events=_events(state, room),
        commands=_commands(state),
    )


def _elapsed(state: PanelState) -> Sentence:
    if state.started is None:
        return ()
    if state.ended is not None:
        return (f"after {duration(state.ended - state.started)}",)
    return ("for ", For(state.started))


# bars


def _bars(state: PanelState) -> tuple[Bar, ...]:
    bars: list[Bar] = []
    sweep = state.sweep
    if sweep is not None:
        words = f"{sweep.done} of {sweep.total} done"
        words += f", {sweep.failed} failed" if sweep.failed else ""
        words += f", {max(0, sweep.total - sweep.done - sweep.failed)} to go" if not state.over else ""
        bars.append(Bar("sweep", (words,), sweep.done, max(sweep.total, 1), bad=sweep.failed))
    if state.current is not None:
        bars.append(_current(state, state.current))
    if state.memory is not None:
        bars += _memory(state.memory)
    return tuple(bars)


def _current(state: PanelState, current: Current) -> Bar:
    running = next((row for row in state.sweep.rows if row.status in ("running", "unfinished")), None) if state.sweep else None
    words = f"{running.label}: " if running else ""
    words += f"step {current.step}" + (f" of {current.total}" if current.total else "")
    if current.diverged:
        words += f", loss is {current.diverged}"
    elif current.loss is not None:
        words += f", loss {number(current.loss)}"
    if current.best_loss is not None:
        words += f" (best {number(current.best_loss)})"
    rate = current.rate
    if rate:
        words += f", {rate:,.0f} steps/s" if rate >= 100 else f", {rate:.3g} steps/s" if rate >= 1 else f", {1 / rate:.3g} s a step"
        if current.total and current.total > current.step and not state.over:
            words += f", about {duration((current.total - current.step) / rate)} left in this run"
    points = current.curve.points
    low, high = (min(points), max(points)) if points else (0.0, 0.0)
    series = tuple(round((point - low) / (high - low), 3) if high > low else 0.5 for point in points)
    label = f"loss from {number(points[0])} to {number(points[-1])}" if points else ""
    tone = "bad" if current.diverged else "calm"
    return Bar("run", (words,), current.step, current.total or 0, series=series, series_label=label, tone=tone)


def _memory(memory: Memory) -> list[Bar]:
    host = f"{size(memory.host_used)} of {size(memory.host_limit)}, peak {size(memory.host_peak)}"
    bars = [_gpu(memory)]
    series = memory.host_series
    bars.append(Bar("RAM", (host,), memory.host_used, max(memory.host_limit, 1), series=series, series_label=_minutes(series)))
    return bars


def _gpu(memory: Memory) -> Bar:
    if memory.gpu_total is None or memory.gpu_reserved is None:
        return Bar("GPU", ("n/a (no GPU)",), 0, 0)
    used = memory.gpu_reserved + (memory.gpu_other or 0)
    words = f"{size(used)} of {size(memory.gpu_total)}, peak {size(memory.gpu_peak or used)}"
    guard = memory.gpu_guard
    words += f", guard at {size(guard)}" if guard is not None else ", no guard set"
    over = guard is not None and used > guard
    series = memory.gpu_series
    return Bar(
        "GPU",
        (words + (" (OVER THE GUARD)" if over else ""),),
        used,
        memory.gpu_total,
        mark=guard,
        series=series,
        series_label=_minutes(series),
        tone="bad" if over else "calm",
    )


def _minutes(series: tuple[float, ...]) -> str:
    return f"from {series[0]:.0%} to {series[-1]:.0%} in the last ten minutes" if len(series) > 1 else ""


# the runs


def _rows(state: PanelState, room: float) -> tuple[tuple[Row, ...], str]:
    sweep = state.sweep
    if sweep is None:
        return (), ""
    hidden = sweep.total - len(sweep.rows)
    more = f"{hidden} more" if hidden > 0 else ""
    return tuple(_row(state, row, room) for row in sweep.rows), more


def _row(state: PanelState, row: RunRow, room: float) -> Row:
    steps = row.steps
    if row.status == "running" and state.current is not None:
        steps = state.current.step
    return Row(
        sign=SIGNS.get(row.status, "·"),
        status=row.status + (" (before)" if row.earlier else ""),
        label=clip(row.label, int(60 * room)),
        params=clip(row.params, int(80 * room)),
        metric=clip(row.metric, int(60 * room)),
        steps="" if steps is None else _count(steps, "step"),
        time="" if row.seconds is None else duration(row.seconds),
        reason=clip(row.reason, int(140 * room)),
    )


# facts, events, commands


def _facts(state: PanelState) -> tuple[Fact, ...]:
    facts: list[Fact] = []
    if state.sweep is not None and state.sweep.best is not None:
        best = state.sweep.best
        facts.append(Fact("best so far", (f"{best.words}: {best.label}" + (f" ({best.params})" if best.params else ""),)))
    if state.freed is not None:
        facts.append(_freed(state))
    if state.name:
        facts.append(_mirror(state))
    facts += [Fact("no safe point", (clip(place, 200),), "warn") for place in state.no_points]
    if state.inexact:
        facts.append(Fact("not bit-exact", ("; ".join(state.inexact),), "warn"))
    if state.safety.refusals:
        total = sum(count for _, count in state.safety.refusals)
        told = sorted(state.safety.refusals, key=lambda pair: -pair[1])
        reasons = "; ".join(f"{'once' if count == 1 else f'{count:,} times'}: {reason}" for reason, count in told)
        facts.append(Fact("refused", (f"{_count(total, 'snapshot')} so far: {reasons}",), "warn"))
    if state.safety.not_kept:
        facts.append(Fact("not kept", (f"{_count(state.safety.not_kept, 'thing')} in no snapshot; see the events",), "warn"))
    connection = _connection(state)
    if connection is not None:
        facts.append(connection)
    return tuple(facts)


def _freed(state: PanelState) -> Fact:
    freed = state.freed
    assert freed is not None
    gpu = "GPU n/a" if freed.gpu is None else f"GPU {_change(freed.gpu)}"
    words: Sentence = (f"{gpu}, RAM {_change(freed.host)}, ", Ago(freed.at))
    if freed.holders:
        words = (*words, f"; still held by {', '.join(freed.holders)}")
    return Fact("last clear", words)


def _change(freed: int) -> str:
    return f"{size(freed)} freed" if freed >= 0 else f"{size(-freed)} more in use"


def _mirror(state: PanelState) -> Fact:
    mirror = state.mirror
    if state.where is None and mirror.state == "off":
        return Fact("mirror", ("none: --to FOLDER, URL or drive keeps a copy off this machine",))
    where = state.where or "the mirror"
    words = {
        "waiting": f"{where}: nothing sent yet",
        "ok": f"{where}: ok",
        "off": f"{where}: closed",
    }.get(mirror.state, f"{where}: {mirror.state}")
    if mirror.reason:
        words += f": {mirror.reason}"
    if mirror.lag_s is not None and mirror.lag_s >= 1:
        words += f", {duration(mirror.lag_s)} behind"
    if mirror.bytes_per_s is not None:
        words += f", {size(int(mirror.bytes_per_s))}/s"
    return Fact("mirror", (words,), "bad" if mirror.state == "degraded" else "calm")


def _connection(state: PanelState) -> Fact | None:
    known = state.connection
    if known.beat_at is None and known.ping_at is None:
        return None
    words: Sentence = ()
    if known.beat_at is not None:
        words = (f"{_count(known.beats, 'kernel heartbeat')}, the last ", Ago(known.beat_at))
    if known.ping_at is not None:
        joint = "; " if words else ""
        words = (*words, f"{joint}browser {'LOST, last ' if known.lost else ''}heard ", Ago(known.ping_at))
        if known.round_trip_s is not None:
            words = (*words, f", round trip {known.round_trip_s * 1000:.0f} ms")
    return Fact("connection", words, "warn" if known.lost else "calm")


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _events(state: PanelState, room: float) -> tuple[Happening, ...]:
    shown = state.events if room > 0.3 else state.events[-2:]
    return tuple(Happening(clock_time(line.at), line.tone, clip(line.text, int(140 * room))) for line in shown)


def _commands(state: PanelState) -> tuple[tuple[str, str], ...]:
    if not state.name:
        return ()
    if state.phase in ("failed", "stopped"):
        return (("to go on, run this cell again; what is saved", "%guard checkpoints"),)
    if state.over:
        return (("what is saved", "%guard checkpoints"),)
    return (
        ("stop at the next safe point: the interrupt button, or in a terminal", f"colab-guard stop {state.name}"),
        ("resume after a loss: this, then the same cells", "%load_ext colab_guard"),
    )
