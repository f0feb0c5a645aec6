"""What a sweep decides about its loop in a checkpointed cell: skip, mark failed and go on, clear memory between runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from colab_guard.cells import Decision, PolicyFactory
from colab_guard.events import EventBus, SweepBypassed, SweepStarted, UnitFinished, UnitSkipped, UnitStarted
from colab_guard.snapshots import UnitRecord
from colab_guard.store import StoreView
from colab_guard.sweep.registry import LIVE, places, tell_committed
from colab_guard.sweep.run import Run
from colab_guard.sweep.sweep import Sweep
from colab_guard.sweep.under import listed_under, run_of, sweep_under

Reclaim = Callable[[], object]
Forget = Callable[[frozenset[str]], object]


class SweepPolicy:
    """Governs the loop over one sweep. `told`: names of sweeps of which it was said that a loop passes them by."""

    def __init__(
        self, sweep: Sweep, bus: EventBus, reclaim: Reclaim | None, anew: bool, told: set[str], forget: Forget | None = None
    ) -> None:
        self._told = told
        self._anew = anew
        self._sweep = sweep
        self._bus = bus
        self._reclaim = reclaim
        self._forget = forget

    def begin(self, units: Sequence[UnitRecord]) -> None:
        sweep = self._sweep
        sweep.governed = True
        if self._anew:
            sweep.begin_anew(units)
        sweep.begin_again()
        sweep.adopt(units)
        states = [run.status for run in sweep.runs]
        self._bus.post(
            SweepStarted(
                name=sweep.name,
                sweep=sweep.name,
                total=len(sweep),
                done=states.count("done"),
                failed=states.count("failed"),
            )
        )
        for run in sweep.runs:
            if run.finished:
                metric, smaller = self._ranked_by(run)
                self._bus.post(
                    UnitSkipped(
                        name=sweep.name,
                        sweep=sweep.name,
                        index=run.index,
                        label=run.label,
                        status=run.status,
                        metrics=dict(run.metrics),
                        ranked_by=metric,
                        smaller_is_better=smaller,
                    )
                )

    def bypassed(self) -> None:
        _say_bypassed(self._sweep, self._bus, self._told, inner=True)

    def item_started(self, item: object) -> None:
        run = run_of(item)
        if run is None:
            return
        run.begin()
        self._bus.post(
            UnitStarted(
                name=self._sweep.name,
                sweep=self._sweep.name,
                index=run.index,
                total=len(self._sweep),
                label=run.label,
                params=dict(run.params),
            )
        )

    def item_follows(self, unread: frozenset[str]) -> None:
        """The last model need not be there while the next one is made."""
        if self._sweep.clear and self._forget is not None:
            self._forget(unread)

    def item_ended(self, item: object) -> UnitRecord | None:
        run = run_of(item)
        if run is None:
            return None
        self._ended(run)
        if self._sweep.clear and self._reclaim is not None:
            self._reclaim()
        return run.record()

    def _ended(self, run: Run) -> None:
        run.end("failed" if run.error else "done")
        metric, smaller = self._ranked_by(run)
        self._bus.post(
            UnitFinished(
                name=self._sweep.name,
                sweep=self._sweep.name,
                index=run.index,
                label=run.label,
                status=run.status,
                metrics=dict(run.metrics),
                reason=run.error,
                did=_did(run),
                seconds=run.seconds,
                ranked_by=metric,
                smaller_is_better=smaller,
                key=run.key,
            )
        )

    def _ranked_by(self, run: Run) -> tuple[str, bool]:
        """The metric by which the best is told, and its direction: the sweep's, or the first that is a number."""
        numbers = (name for name, value in run.metrics.items() if isinstance(value, (int, float)) and not isinstance(value, bool))
        metric = self._sweep.metric or next(numbers, "")
        return metric, self._sweep.smaller_is_better(metric)

    def on_error(self, item: object, error: Exception) -> Decision:
        run = run_of(item)
        if run is None:
            return Decision.RAISE
        run.fail(error)
        if self._sweep.on_error == "stop":
            run.stopped = True
            self._ended(run)  # told, but not committed: the cell, run again, goes on inside this run
            return Decision.RAISE
        return Decision.NEXT_ITEM


def policy_factory(
    bus: EventBus, reclaim: Reclaim | None = None, anew: bool = False, forget: Forget | None = None
) -> PolicyFactory:
    """Policies for loops over a sweep, also by way of `enumerate`, `zip`, a progress bar and their like (`under`).

    A loop over a list of a sweep's runs has none, and is told by an event.

    `anew` (nothing is committed under this NAME, or no longer): runs that ended before, and that the store does not
    know, run again. That is decided once, when the sweep's first loop begins.
    """
    begun: set[str] = set()
    told: set[str] = set()

    def make(iterable: object) -> SweepPolicy | None:
        sweep = sweep_under(iterable)
        if sweep is not None:
            sweep.settle()
            first = sweep.name not in begun
            begun.add(sweep.name)
            return SweepPolicy(sweep, bus, reclaim, anew and first, told, forget)
        listed = listed_under(iterable)
        if listed is not None:
            _say_bypassed(listed, bus, told)
        return None

    return make


def _say_bypassed(sweep: Sweep, bus: EventBus, told: set[str], *, inner: bool = False) -> None:
    """Once for each sweep in a run of a cell."""
    if sweep.name not in told:
        told.add(sweep.name)
        bus.post(SweepBypassed(name=sweep.name, sweep=sweep.name, inner=inner))


def adopt(units: Sequence[UnitRecord], path: Path) -> None:
    """Tell all live sweeps what is committed in the store at `path`."""
    places[:] = [path.name]
    groups = {unit.group for unit in units}

    def tell(sweep: Sweep) -> None:
        if sweep.name in groups:
            sweep.settle()
            sweep.adopt(units, _readers(path, sweep.name))

    tell_committed[:] = [tell]
    for sweep in list(LIVE.values()):
        tell(sweep)


def note_change(what: str) -> None:
    """The runs under way were changed so that memory suffices: `what` goes into their results."""
    for sweep in list(LIVE.values()):
        for run in sweep.runs:
            if run.status == "running":
                run.note_change(what)


def went_back(units: Sequence[UnitRecord]) -> None:
    """The running cell went back to where `units` were all that had ended."""
    for sweep in list(LIVE.values()):
        if sweep.governed:
            sweep.begin_anew(units)


def unfinished(groups: Sequence[str] | None = None) -> bool:
    """Whether a live sweep (of `groups`) has runs that are neither done nor failed."""
    sweeps = [sweep for name, sweep in list(LIVE.items()) if groups is None or name in groups]
    return any(True for sweep in sweeps for _ in sweep.unfinished())


def _readers(path: Path, group: str) -> Callable[[str], Mapping[str, Callable[[], bytes]]]:
    """For a run's key: file name → reading it from the store, opened when it is asked for."""
    index: dict[str, Any] = {}
    for record in StoreView(path).units():
        if record.unit is not None and record.unit["group"] == group:
            index[str(record.unit["key"])] = record

    def readers(key: str) -> Mapping[str, Callable[[], bytes]]:
        record = index.get(key)
        if record is None:
            return {}
        return {
            name: lambda name=name: StoreView(path).read_unit_file(record, name)  # type: ignore[misc]
            for name in record.raw["unit_files"]
        }

    return readers


def _did(run: Run) -> str:
    """What was done about its failure, or so that memory sufficed; "" for nothing."""
    after = "" if not run.error else "stopped here, to go on inside this run" if run.stopped else "the next run began"
    return "; ".join(part for part in (*run.changes, after) if part)
