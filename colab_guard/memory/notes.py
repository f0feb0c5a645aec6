"""What runs, as the black box is told it: the unit, the step, and what was saved last. From events alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from colab_guard.clock import Clock
from colab_guard.events import Event, EventBus, Resumed, SnapshotSaved, StepDone, UnitStarted
from colab_guard.memory.watcher import clipped

TELL_EVERY_S = 1.0


class Notes:
    """Listens to `bus` while work runs, and tells what is new; at most once a second."""

    def __init__(self, bus: EventBus, clock: Clock, tell: Callable[..., None]) -> None:
        self._clock = clock
        self._tell = tell
        self._next = 0.0
        self._news = False
        self.at: dict[str, Any] = {}
        self.close = bus.subscribe(self._hear, StepDone, SnapshotSaved, Resumed, UnitStarted)

    def work_started(self, name: str) -> None:
        """Other work: what was known is of the one before."""
        self.at = {}
        self._news = False

    def tell_now(self) -> None:
        """Tell what was not told yet."""
        if self._news:
            self._news, self._next = False, self._clock.monotonic() + TELL_EVERY_S
            self._tell(at=self.at)

    def _hear(self, event: Event, at: float) -> None:
        if isinstance(event, StepDone):
            step = f"step {event.step}" + (f" of {event.total}" if event.total is not None else "")
            self.at = {**self.at, "step": step}
        elif isinstance(event, SnapshotSaved | Resumed):
            self.at = {**self.at, "saved": clipped(event.position)}
        elif isinstance(event, UnitStarted):
            self.at = {**self.at, "unit": clipped(event.label), "step": ""}
        self._news = True
        if self._clock.monotonic() >= self._next:
            self.tell_now()
