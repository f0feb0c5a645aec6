"""Iterating a sweep: the next run that is not finished, also after a resume with another grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from colab_guard.errors import BadOption
from colab_guard.sweep.registry import live_sweep

if TYPE_CHECKING:
    from colab_guard.sweep.run import Run
    from colab_guard.sweep.sweep import Sweep


class SweepIterator:
    """Gives each unfinished run once. Captured, it is the sweep's name, and the keys that it gave and that had ended.

    After a resume it gives those again that had ended and now are not: their commits are lost, or they are to be tried
    again.
    """

    def __init__(self, sweep: Sweep, *, backwards: bool = False) -> None:
        self.sweep = sweep
        self._backwards = backwards
        self._given: set[str] = set()
        self._last: Run | None = None

    def __iter__(self) -> SweepIterator:
        return self

    def __next__(self) -> Run:
        if self.sweep.isolate:
            self._look_at_last()
        waiting: Iterable[Run] = self.sweep.unfinished()
        for run in reversed(list(waiting)) if self._backwards else waiting:
            if run.key not in self._given:
                self._given.add(run.key)
                run.start_anew()
                self._last = run
                return run
        raise StopIteration

    def _look_at_last(self) -> None:
        """The run given before is over: in a checkpointed cell it is committed by now."""
        last, self._last = self._last, None
        if last is None:
            return
        if not last.done_apart and last.status != "failed":
            raise BadOption(
                f"Sweep({self.sweep.name!r}, isolate=True): the loop's body ran in this kernel, for only a function can go to a process "
                "of its own; put the body into one, def train(run): ..., and write run.do(train) in the loop"
            )
        from colab_guard.sweep import apart

        apart.tidy(last)

    def state_dict(self) -> dict[str, Any]:
        ended = {run.key for run in self.sweep.runs if run.finished}
        return {"given": sorted(self._given), "ended": sorted(self._given & ended), "backwards": self._backwards}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        open_again = {run.key for run in self.sweep.unfinished()} & set(state.get("ended", ()))
        self._given = set(state["given"]) - open_again
        self._backwards = state.get("backwards", False)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.sweep, self.state_dict())


def _again(sweep: Sweep | str, state: dict[str, Any]) -> SweepIterator:
    made = SweepIterator(live_sweep(sweep))
    made.load_state_dict(state)
    return made
