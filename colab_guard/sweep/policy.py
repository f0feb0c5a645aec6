"""What a sweep decides about its loop in a checkpointed cell: skip, mark failed and go on, clear memory between runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from colab_guard.cells import Decision, PolicyFactory
from colab_guard.events import EventBus, SweepStarted, UnitFinished, UnitSkipped, UnitStarted
from colab_guard.snapshots import UnitRecord
from colab_guard.store import StoreView
from colab_guard.sweep.iteration import SweepIterator
from colab_guard.sweep.registry import LIVE
from colab_guard.sweep.run import Run
from colab_guard.sweep.sweep import Sweep

Reclaim = Callable[[], object]


class SweepPolicy:
    """Governs the loop over one sweep."""

    def __init__(self, sweep: Sweep, bus: EventBus, reclaim: Reclaim | None = None, anew: bool = False) -> None:
        self._anew = anew
        self._sweep = sweep
        self._bus = bus
        self._reclaim = reclaim

    def begin(self, units: Sequence[UnitRecord]) -> None:
        sweep = self._sweep
        if self._anew:
            sweep.begin_anew(units)
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
                self._bus.post(
                    UnitSkipped(
                        name=sweep.name,
                        sweep=sweep.name,
                        index=run.index,
                        label=run.label,
                        status=run.status,
                        metrics=dict(run.metrics),
                    )
                )

    def item_started(self, item: object) -> None:
        if isinstance(item, Run):
            item.begin()
            self._bus.post(
                UnitStarted(
                    name=self._sweep.name,
                    sweep=self._sweep.name,
                    index=item.index,
                    total=len(self._sweep),
                    label=item.label,
                    params=dict(item.params),
                )
            )

    def item_ended(self, item: object) -> UnitRecord | None:
        if not isinstance(item, Run):
            return None
        item.end("failed" if item.error else "done")
        self._bus.post(
            UnitFinished(
                name=self._sweep.name,
                sweep=self._sweep.name,
                index=item.index,
                label=item.label,
                status=item.status,
                metrics=dict(item.metrics),
                reason=item.error,
                seconds=item.seconds,
            )
        )
        if self._sweep.clear and self._reclaim is not None:
            self._reclaim()
        return item.record()

    def on_error(self, item: object, error: Exception) -> Decision:
        if not isinstance(item, Run) or self._sweep.on_error == "stop":
            return Decision.RAISE
        item.fail(error)
        return Decision.NEXT_ITEM


def policy_factory(bus: EventBus, reclaim: Reclaim | None = None, anew: bool = False) -> PolicyFactory:
    """Policies for loops over a sweep, its iterator, or a progress bar around either.

    `anew` (nothing is committed under this NAME, or no longer): runs that ended before, and that the store does not
    know, run again. That is decided once, when the sweep's first loop begins.
    """
    begun: set[str] = set()

    def make(iterable: object) -> SweepPolicy | None:
        inner = getattr(iterable, "iterable", None) or getattr(getattr(iterable, "_bar", None), "iterable", None)
        for candidate in (iterable, inner):
            if isinstance(candidate, SweepIterator):
                candidate = candidate.sweep
            if isinstance(candidate, Sweep):
                first = candidate.name not in begun
                begun.add(candidate.name)
                return SweepPolicy(candidate, bus, reclaim, anew and first)
        return None

    return make


def adopt(units: Sequence[UnitRecord], path: Path) -> None:
    """Tell all live sweeps what is committed in the store at `path`."""
    groups = {unit.group for unit in units}
    for sweep in [sweep for name, sweep in list(LIVE.items()) if name in groups]:
        sweep.adopt(units, _readers(path, sweep.name))


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
