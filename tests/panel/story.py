"""Events of a sweep, told to a panel that needs no kernel."""

from __future__ import annotations

from colab_guard.clock import FakeClock
from colab_guard.events import (
    EventBus,
    SnapshotSaved,
    StepDone,
    SweepStarted,
    UnitFinished,
    UnitStarted,
    WorkStarted,
)
from colab_guard.panel import Panel
from colab_guard.panel.surfaces import Surface
from colab_guard.panel.view import View
from colab_guard.workers import Workers

NAME = "lora-39"


class Drawn:
    """A surface that remembers."""

    live = True

    def __init__(self) -> None:
        self.calls: list[tuple[str, View]] = []

    def show(self, view: View) -> None:
        self.calls.append(("show", view))

    def update(self, view: View) -> bool:
        self.calls.append(("update", view))
        return True

    def freeze(self, view: View) -> None:
        self.calls.append(("freeze", view))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


class Story:
    """A panel, its clock and its bus."""

    def __init__(self) -> None:
        self.clock = FakeClock(1_700_000_000.0)
        self.workers = Workers(self.clock)
        self.bus = EventBus(self.workers, self.clock, synchronous=True)
        self.drawn: list[Drawn] = []
        self.panel = Panel(None, self.bus, self.clock, self.workers, surface=self._surface)
        self.post = self.bus.post

    def _surface(self, shell: object, hear: object) -> Surface:
        self.drawn.append(Drawn())
        return self.drawn[-1]

    def begin(self, total: int = 39, where: str | None = None, done: int = 0) -> None:
        self.post(WorkStarted(name=NAME, where=where))
        self.post(SweepStarted(sweep=NAME, total=total, done=done, failed=0))

    def run(self, index: int, *, total: int = 39, steps: int = 3, reason: str = "", accuracy: float = 0.5) -> None:
        self.start(index, total=total, steps=steps)
        status = "failed" if reason else "done"
        metrics: dict[str, object] = {} if reason else {"accuracy": accuracy}
        self.post(UnitFinished(sweep=NAME, index=index, label=f"run {index}", status=status, metrics=metrics, reason=reason, seconds=12, key=f"key {index}"))

    def start(self, index: int, *, total: int = 39, steps: int = 3) -> None:
        self.post(UnitStarted(sweep=NAME, index=index, total=total, label=f"run {index}", params={"rank": index}))
        for step in range(1, steps + 1):
            self.clock.advance(0.5)
            self.post(StepDone(step=step, total=400, loss=1 / step))

    def save(
        self, commit: str = "1-1-a", position: str = "model 16, step 400", units: tuple[str, ...] = (), *, kind: str = "step", age_s: float = 0
    ) -> None:
        self.post(
            SnapshotSaved(
                name=NAME,
                commit=commit,
                kind=kind,
                position=position,
                bytes_new=1,
                bytes_total=1,
                stall_s=0,
                write_s=0,
                age_s=age_s,
                units=units,
            )
        )

    def safety(self) -> str:
        """The safety line as text."""
        return next(line for line in self.panel.text().splitlines() if "safety:" in line).split("safety: ")[1]

    def risk(self) -> str:
        return next((line.strip() for line in self.panel.text().splitlines() if "at risk now" in line), "")
