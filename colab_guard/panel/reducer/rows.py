"""The runs of a sweep: which are in sight, which have ended, which is the best, and what is noted of each."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection
from dataclasses import replace

from colab_guard.events import UnitFinished, UnitSkipped, UnitStarted
from colab_guard.panel.measured import DURATIONS
from colab_guard.panel.state import FAILED_ROWS, KEPT_ROWS, ROWS, Best, Current, RunRow, SweepPart
from colab_guard.panel.words import clip, finite, number, pairs

LOWER_IS_BETTER = re.compile(r"loss|err|perplexity|ppl|mae|mse|wer|cer|nll|seconds|time", re.IGNORECASE)

COMMIT = re.compile(r"(\d+)-(\d+)-")
LATER = (sys.maxsize, 0)
FAR = ("", "before", "saved", "sent", "durable")


def inside(sweep: SweepPart | None, name: str) -> bool:
    """Whether the sweep `name` goes on within a run of `sweep`, which is another."""
    return sweep is not None and sweep.name != clip(name, 60) and any(row.status == "running" for row in sweep.rows)


def started(sweep: SweepPart | None, event: UnitStarted, at: float) -> SweepPart:
    if sweep is not None and inside(sweep, event.sweep):
        return replace(sweep, inner=clip(event.label, 40))
    sweep = _of(sweep, event.sweep, event.total)
    row = RunRow(event.index, clip(event.label, 60), "running", pairs(event.params, "=", 80), began=at)
    return replace(sweep, total=max(sweep.total, event.total), rows=_in_sight(sweep.rows, row), inner="")


def finished(sweep: SweepPart | None, event: UnitFinished, current: Current | None) -> SweepPart:
    if sweep is not None and inside(sweep, event.sweep):
        return replace(sweep, inner="")
    sweep = _of(sweep, event.sweep, event.index + 1)
    begun = next((row for row in sweep.rows if row.index == event.index), None) or RunRow(event.index, "", "")
    sweep = _counted(sweep, event.status)
    row = replace(
        begun,
        label=clip(event.label, 60),
        status=event.status,
        metric=pairs(event.metrics, " ", 60),
        value=_value(sweep, event),
        steps=current.step if current and not sweep.inner else None,
        seconds=event.seconds,
        reason=clip(event.reason, 140),
        did=clip(event.did or begun.did, 100),
        commit="",  # the unit's end makes one of its own
        reached="",
        key=event.key,
    )
    times = (*sweep.times, event.seconds)[-DURATIONS:] if event.seconds > 0 else sweep.times
    return _ended(replace(sweep, times=times, best=_best(sweep, row, event), inner=""), row)


def skipped(sweep: SweepPart | None, event: UnitSkipped) -> SweepPart:
    """A run of before; it counts once, whether or not the sweep's start has counted it."""
    if sweep is not None and inside(sweep, event.sweep):
        return sweep
    sweep = _of(sweep, event.sweep, event.index + 1)
    row = RunRow(event.index, clip(event.label, 60), event.status, metric=pairs(event.metrics, " ", 60), earlier=True)
    row = replace(row, value=_value(sweep, event), reached="before")
    sweep = replace(sweep, skipped=sweep.skipped + 1)
    if sweep.skipped > sweep.before:
        sweep = _counted(sweep, event.status)
    return _ended(replace(sweep, best=_best(sweep, row, event)), row)


def _of(sweep: SweepPart | None, name: str, total: int) -> SweepPart:
    """The sweep of that name: the known one, or a new one after it."""
    name = clip(name, 60)
    return sweep if sweep is not None and sweep.name == name else SweepPart(name, total)


def running(sweep: SweepPart | None, change: Callable[[RunRow], RunRow]) -> SweepPart | None:
    """The sweep with a changed running row; as it is where none runs."""
    if sweep is None:
        return None
    rows = tuple(change(row) if row.status == "running" else row for row in sweep.rows)
    return sweep if rows == sweep.rows else replace(sweep, rows=rows)


def committed(sweep: SweepPart | None, commit: str, units: Collection[str]) -> SweepPart | None:
    """A commit holds the ends of its `units`, and the running run as far as that is.

    No other run: one may have ended while the commit was written.
    """

    def note(row: RunRow) -> RunRow:
        if row.status == "running" or (row.key and row.key in units):
            return replace(row, commit=commit, reached="saved")
        return row

    return _each(sweep, note)


def reached(sweep: SweepPart | None, commit: str, how: str) -> SweepPart | None:
    """This commit has come so far, and so have those before it, on which it stands; of later ones nothing is said."""
    place = _place(commit)

    def note(row: RunRow) -> RunRow:
        held = row.commit == commit or (place is not None and bool(row.commit) and (_place(row.commit) or LATER) <= place)
        return replace(row, reached=how) if held and FAR.index(row.reached) < FAR.index(how) else row

    return _each(sweep, note)


def _place(commit: str) -> tuple[int, int] | None:
    """A commit's generation and number, which its name begins with."""
    found = COMMIT.match(commit)
    return (int(found[1]), int(found[2])) if found else None


def _each(sweep: SweepPart | None, change: Callable[[RunRow], RunRow]) -> SweepPart | None:
    if sweep is None:
        return None
    return replace(sweep, rows=tuple(map(change, sweep.rows)), ended=tuple(map(change, sweep.ended)))


def _counted(sweep: SweepPart, status: str) -> SweepPart:
    if status == "failed":
        return replace(sweep, failed=sweep.failed + 1)
    return replace(sweep, done=sweep.done + 1)


def _ended(sweep: SweepPart, row: RunRow) -> SweepPart:
    kept = [known for known in sweep.ended if known.index != row.index]
    return replace(sweep, rows=_in_sight(sweep.rows, row), ended=(*kept, row)[-KEPT_ROWS:])


def _in_sight(rows: tuple[RunRow, ...], row: RunRow) -> tuple[RunRow, ...]:
    """The running one, the newest failed ones, the newest others; in the sweep's order."""
    kept = [known for known in rows if known.index != row.index and known.status != "running"] + [row]
    while len(kept) > ROWS:
        failed = [known for known in kept if known.status == "failed"]
        plain = [known for known in kept if known.status != "failed" and known is not row]
        kept.remove(failed[0] if len(failed) > FAILED_ROWS or not plain else plain[0])
    return tuple(sorted(kept, key=lambda known: known.index))


def _metric(sweep: SweepPart, event: UnitFinished | UnitSkipped) -> str | None:
    """By which metric runs are compared: the sweep's, or where nobody says, the first that is a number."""
    names = [name for name, value in event.metrics.items() if finite(value)]
    if event.ranked_by:
        return event.ranked_by if event.ranked_by in names else None
    best = sweep.best
    return best.metric if best is not None and best.metric in names else (names[0] if names else None)


def _value(sweep: SweepPart, event: UnitFinished | UnitSkipped) -> float | None:
    name = _metric(sweep, event)
    return None if name is None else float(str(event.metrics[name]))


def _best(sweep: SweepPart, row: RunRow, event: UnitFinished | UnitSkipped) -> Best | None:
    """By the sweep's metric and direction; where nobody says, by the metric's name."""
    best, name = sweep.best, _metric(sweep, event)
    if row.status != "done" or name is None or row.value is None or (best is not None and best.metric != name):
        return best
    smaller = event.smaller_is_better if event.ranked_by else bool(LOWER_IS_BETTER.search(name))
    better = best is None or (row.value < best.value if smaller else row.value > best.value)
    return Best(row.label, row.params, name, row.value, f"{clip(name, 30)} {number(row.value)}") if better else best
