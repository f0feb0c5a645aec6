"""The bars: the sweep, the current run, and memory against its limits."""

from __future__ import annotations

from collections import Counter

from colab_guard.panel.measured import SERIES_EVERY_S, Memory
from colab_guard.panel.state import Current, PanelState, SweepPart
from colab_guard.panel.view import Bar, Part, Series
from colab_guard.panel.words import duration, number, of, short_size, size, unit_of

MARKS = {"clear": "clear", "recovery": "recovery", "soft": "pressure", "hard": "pressure", "last": "pressure"}
"""Kinds of marks as they are drawn; pressure of all levels alike."""
DRAWN_MARKS = 20  # the newest; more would stand one on the other
NAMES = {
    "clear": ("▼", "clear", "clears"),
    "pressure": ("▲", "time short of memory", "times short of memory"),
    "recovery": ("◆", "recovery", "recoveries"),
}
"""How they are drawn (panel.css draws these signs) and called."""


def bars(state: PanelState) -> tuple[Bar, ...]:
    found: list[Bar] = []
    if state.sweep is not None:
        found.append(_sweep(state, state.sweep))
    if state.current is not None:
        found.append(_current(state, state.current))
    if state.memory is not None:
        found += [_gpu(state.memory), _host(state.memory), *_disk(state.memory)]
    return tuple(found)


def _sweep(state: PanelState, sweep: SweepPart) -> Bar:
    words = f"{sweep.done} of {sweep.total} done"
    words += f", {sweep.failed} failed" if sweep.failed else ""
    words += f", {max(0, sweep.total - sweep.done - sweep.failed)} to go" if not state.over else ""
    parts = [Part("done", sweep.done, "fill"), *([Part("failed", sweep.failed, "bad")] if sweep.failed else [])]
    return Bar("sweep", (words,), tuple(parts), max(sweep.total, 1))


def _current(state: PanelState, current: Current) -> Bar:
    running = next((row for row in state.sweep.rows if row.status in ("running", "unfinished")), None) if state.sweep else None
    inner = f", {state.sweep.inner}" if state.sweep and state.sweep.inner else ""
    words = f"{running.label}{inner}: " if running else ""
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
    tone = "bad" if current.diverged else "calm"
    return Bar("run", (words,), (Part("steps", current.step, "fill"),), current.total or 0, series=_loss(current), tone=tone)


def _loss(current: Current) -> Series | None:
    points = current.curve.points
    if len(points) < 2:
        return None
    low, high = min(points), max(points)
    drawn = tuple(_percent((point - low) / (high - low)) if high > low else 50 for point in points)
    return Series(drawn, f"loss from {number(points[0])} to {number(points[-1])}")


# memory


def _gpu(memory: Memory) -> Bar:
    used, total, guard = memory.gpu_used, memory.gpu_total, memory.gpu_guard
    if used is None or total is None or memory.gpu_reserved is None:
        return Bar("GPU", ("n/a (no GPU)",), (), 0)
    peak = memory.gpu_peak or used
    unit, _ = unit_of(total)
    words = f"{of(used, total)}, peak {short_size(peak, unit)}"
    words += f", guard at {short_size(guard, unit, 2)}" if guard is not None else ", no guard set"
    over = guard is not None and used > guard
    words += " (OVER THE GUARD)" if over else ""
    allocated = min(memory.gpu_allocated or 0, memory.gpu_reserved)
    parts = [
        Part("allocated", allocated, "fill"),
        Part("reserved beside it", memory.gpu_reserved - allocated, "spare"),
        Part("other processes", memory.gpu_other or 0, "other"),
    ]
    words += ": " + ", ".join(f"{short_size(part.value, unit)} {part.label}" for part in parts)
    series = _series(memory, memory.gpu_series, None if guard is None else _percent(guard / total))
    words += _named(series)
    return Bar("GPU", (words,), tuple(parts), total, mark=guard, peak=peak, series=series, tone="bad" if over else "calm")


def _host(memory: Memory) -> Bar:
    limit = max(memory.host_limit, 1)
    words = f"{of(memory.host_used, limit)}, peak {short_size(memory.host_peak, unit_of(limit)[0])}"
    # without a GPU what happened to memory happened here
    series = _series(memory, memory.host_series, None, marked=memory.gpu_used is None)
    return Bar("RAM", (words + _named(series),), (Part("used", memory.host_used, "fill"),), limit, peak=memory.host_peak, series=series)


def _disk(memory: Memory) -> list[Bar]:
    if memory.disk_free is None or not memory.disk_total:
        return []
    free, total = memory.disk_free, memory.disk_total
    words = f"{size(free)} free, {of(total - free, total)} used"
    scarce = free < 0.05 * total
    return [
        Bar(
            "disk",
            (words + (" (NEARLY FULL)" if scarce else ""),),
            (Part("used", total - free, "fill"),),
            total,
            tone="bad" if scarce else "calm",
        )
    ]


def _series(memory: Memory, points: tuple[float, ...], line: int | None, *, marked: bool = True) -> Series | None:
    if len(points) < 2:
        return None
    span_s = SERIES_EVERY_S * (len(points) - 1)
    began = memory.series_at - span_s
    marks = tuple((_percent((at - began) / span_s), MARKS.get(kind, kind)) for at, kind in memory.marks if at >= began and marked)
    label = f"from {points[0]:.0%} to {points[-1]:.0%} in the last {duration(span_s)}, highest {max(points):.0%}"
    return Series(tuple(map(_percent, points)), label, line=line, marks=marks[-DRAWN_MARKS:])


def _named(series: Series | None) -> str:
    """The marks of a curve in words, each with its sign."""
    counts = Counter(kind for _, kind in series.marks) if series is not None else Counter()
    told = [f"{NAMES[kind][0]} {count} {NAMES[kind][1 + (count > 1)]}" for kind, count in counts.items() if kind in NAMES]
    return f"; {', '.join(told)} in ten minutes" if told else ""


def _percent(fraction: float) -> int:
    return round(100 * min(1.0, max(0.0, fraction)))
