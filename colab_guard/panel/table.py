"""The runs' table: each run in words, and what it is sorted by."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from colab_guard.panel.state import KEPT_ROWS, PanelState, RunRow
from colab_guard.panel.view import Row
from colab_guard.panel.words import clip, count, duration, size

SIGNS = {"running": "▶", "done": "✓", "failed": "✗", "unfinished": "■"}


def table(state: PanelState, now: float, room: float) -> tuple[tuple[Row, ...], str]:
    """The rows in sight, and how many more there are; `room` below 1 shortens what is long."""
    sweep = state.sweep
    if sweep is None:
        return (), ""
    hidden = sweep.total - len(sweep.rows)
    return tuple(row(_as_of(state, known, now), room) for known in sweep.rows), f"{hidden:,} more" if hidden > 0 else ""


def ended(state: PanelState) -> tuple[Row, ...]:
    """All ended runs that are known, in the sweep's order."""
    known = state.sweep.ended if state.sweep is not None else ()
    return tuple(row(one, 1.0) for one in sorted(known, key=lambda one: one.index))


def _as_of(state: PanelState, known: RunRow, now: float) -> RunRow:
    """The running row with its steps and time up to now."""
    if known.status != "running":
        return known
    seconds = now - known.began if known.began is not None else None
    own = state.current if state.sweep is not None and not state.sweep.inner else None
    return replace(known, steps=own.step if own is not None else None, seconds=seconds)


@lru_cache(maxsize=4 * KEPT_ROWS)  # the same runs, each second
def row(known: RunRow, room: float) -> Row:
    """A run in words."""
    steps, seconds = known.steps, known.seconds
    return Row(
        number=known.index,
        sign=SIGNS.get(known.status, "·"),
        status=known.status + (" (before)" if known.earlier else ""),
        label=clip(known.label, int(60 * room)),
        params=clip(known.params, int(80 * room)),
        metric=clip(known.metric, int(60 * room)),
        steps="" if steps is None else count(steps, "step"),
        time="" if seconds is None else duration(seconds),
        peak="" if known.peak is None else size(known.peak),
        commit=f"{known.reached} {_short(known.commit)}".strip(),
        reason=clip(known.reason, int(140 * room)),
        did=clip(known.did, int(100 * room)),
        order=(known.value, steps, None if seconds is None else round(seconds, 1), known.peak),
    )


def _short(commit: str) -> str:
    """3-14 of 00000003-0000000014-1b2f...: generation and number."""
    parts = commit.split("-")[:2]
    return "-".join(str(int(part)) if part.isdigit() else clip(part, 8) for part in parts) if commit else ""
