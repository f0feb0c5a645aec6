"""Iterating a sweep: the next run that is not finished, also after a resume with another grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colab_guard.sweep.registry import live_sweep

if TYPE_CHECKING:
    from colab_guard.sweep.run import Run
    from colab_guard.sweep.sweep import Sweep


class SweepIterator:
    """Gives each unfinished run once. Captured, it is the sweep's name and the keys that it gave."""

    def __init__(self, sweep: Sweep, given: frozenset[str] = frozenset()) -> None:
        self.sweep = sweep
        self._given = set(given)

    def __iter__(self) -> SweepIterator:
        return self

    def __next__(self) -> Run:
        for run in self.sweep.unfinished():
            if run.key not in self._given:
                self._given.add(run.key)
                run.start_anew()
                return run
        raise StopIteration

    def state_dict(self) -> dict[str, Any]:
        return {"given": sorted(self._given)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._given = set(state["given"])

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.sweep.name, sorted(self._given))


def _again(name: str, given: list[str]) -> SweepIterator:
    return SweepIterator(live_sweep(name), frozenset(given))
