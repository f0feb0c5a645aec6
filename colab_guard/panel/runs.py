"""The sweep's part of the reducer: which runs are in sight, and which is the best."""

from __future__ import annotations

import re
from dataclasses import replace

from colab_guard.events import UnitFinished, UnitSkipped, UnitStarted
from colab_guard.panel.state import FAILED_ROWS, ROWS, Best, Current, RunRow, SweepPart
from colab_guard.panel.words import clip, finite, number, pairs

LOWER_IS_BETTER = re.compile(r"loss|err|perplexity|ppl|mae|mse|wer|cer|nll|seconds|time", re.IGNORECASE)


def started(sweep: SweepPart | None, event: UnitStarted) -> SweepPart:
    sweep = sweep or SweepPart(clip(event.sweep, 60), event.total)
    row = RunRow(event.index, clip(event.label, 60), "running", pairs(event.params, "=", 80))
    return replace(sweep, total=max(sweep.total, event.total), rows=_in_sight(sweep.rows, row))


def finished(sweep: SweepPart | None, event: UnitFinished, current: Current | None) -> SweepPart:
    sweep = sweep or SweepPart(clip(event.sweep, 60), event.index + 1)
    begun = next((row for row in sweep.rows if row.index == event.index), None)
    row = RunRow(
        event.index,
        clip(event.label, 60),
        event.status,
        begun.params if begun else "",
        pairs(event.metrics, " ", 60),
        current.step if current else None,
        event.seconds,
        clip(event.reason, 140),
    )
    sweep = _counted(sweep, event.status)
    return replace(sweep, rows=_in_sight(sweep.rows, row), best=_best(sweep, row, event))


def skipped(sweep: SweepPart | None, event: UnitSkipped) -> SweepPart:
    """A run of before; it counts once, whether or not the sweep's start has counted it."""
    sweep = sweep or SweepPart(clip(event.sweep, 60), event.index + 1)
    row = RunRow(event.index, clip(event.label, 60), event.status, metric=pairs(event.metrics, " ", 60), earlier=True)
    sweep = replace(sweep, skipped=sweep.skipped + 1)
    if sweep.skipped > sweep.before:
        sweep = _counted(sweep, event.status)
    return replace(sweep, rows=_in_sight(sweep.rows, row), best=_best(sweep, row, event))


def _counted(sweep: SweepPart, status: str) -> SweepPart:
    if status == "failed":
        return replace(sweep, failed=sweep.failed + 1)
    return replace(sweep, done=sweep.done + 1)


def _in_sight(rows: tuple[RunRow, ...], row: RunRow) -> tuple[RunRow, ...]:
    """The running one, the newest failed ones, the newest others; in the sweep's order."""
    kept = [known for known in rows if known.index != row.index and known.status != "running"] + [row]
    while len(kept) > ROWS:
        failed = [known for known in kept if known.status == "failed"]
        plain = [known for known in kept if known.status != "failed" and known is not row]
        kept.remove(failed[0] if len(failed) > FAILED_ROWS or not plain else plain[0])
    return tuple(sorted(kept, key=lambda known: known.index))


def _best(sweep: SweepPart, row: RunRow, event: UnitFinished | UnitSkipped) -> Best | None:
    """By the sweep's metric and direction; where nobody says, by the first that is a number, and its name."""
    best, metrics = sweep.best, event.metrics
    if row.status != "done":
        return best
    names = [name for name, value in metrics.items() if finite(value)]
    if event.ranked_by:
        name = event.ranked_by if event.ranked_by in names else None
    else:
        name = best.metric if best is not None and best.metric in names else (names[0] if names else None)
    if name is None or (best is not None and best.metric != name):
        return best
    value = float(str(metrics[name]))
    smaller = event.smaller_is_better if event.ranked_by else bool(LOWER_IS_BETTER.search(name))
    better = best is None or (value < best.value if smaller else value > best.value)
    return Best(row.label, row.params, name, value, f"{clip(name, 30)} {number(value)}") if better else best
