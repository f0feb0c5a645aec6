"""What the session asks of the parts that others build."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from colab_guard.session.session import Session


class GuardedWork(Protocol):
    """Running guarded work: a `%%checkpointed` cell, or `with colab_guard.work():`."""

    name: str
    saves: bool
    """Whether its state is saved, so that it can go on elsewhere."""

    def cannot_prove(self) -> str:
        """Why nothing that it saves can become durable, known when it begins; "" where it can."""

    @property
    def only_here(self) -> Callable[[], str]:
        """Says why what was saved is on this machine alone; "" where it is durable. Asked when the work has ended and is gone."""

    def request_stop(self, by: str, *, after_unit: bool = False) -> None:
        """Stop at the next safe point, or when the unit that runs has ended; `by` is "interrupt", "magic", "panel" or "cli"."""

    def request_commit(self) -> None:
        """Take a snapshot at the next safe point, due or not."""

    def make_room(self) -> None:
        """Memory is short: take a snapshot at the next safe point, then let go of what can be made again."""

    def plan_changed(self, what: str) -> None:
        """What runs from now on may differ in its last bits from what was written, since memory did not suffice."""

    def status(self) -> object:
        """How it stands."""


class Panel(Protocol):
    """The panel, made by a room on this floor and handed in by the extension."""

    def show(self, *, live: bool = True) -> None:
        """Draw it in the output of the running cell. `live`: work runs, so that there will be news."""

    def freeze(self) -> None:
        """Replace what was drawn last by its static form."""

    def text(self) -> str:
        """The same in words."""

    @property
    def runs_sweep(self) -> bool:
        """Whether a sweep's loop is under way, so that a unit will end."""

    def close(self) -> None:
        """Listen no more."""


class MemoryGuard(Protocol):
    """The part of `memory.MemoryGuard` that the session drives."""

    on_pressure: list[Callable[[str], None]]

    @property
    def series(self) -> Any:
        """Memory over time, as `sweep.memory.Series` has it."""

    @property
    def in_force(self) -> bool:
        """Whether a limit is set."""

    @property
    def pressed(self) -> bool:
        """Whether host memory is short now."""

    def on(self, fraction: float | None = None, *, soft: float | None = None, hard: float | None = None) -> None:
        """Set the limit, a fraction of the GPU's memory, and the thresholds on host memory."""

    def off(self) -> None:
        """Take it back."""

    def room(self) -> int | None:
        """Bytes of host memory that may be taken before it is nearly full; None where that is not known."""

    def work_started(self, name: str) -> None:
        """Guarded work begins."""

    def work_ended(self) -> None:
        """Guarded work has ended."""

    def status(self) -> object:
        """What is in force and used; its `str()` is shown."""

    def close(self) -> None:
        """Take back everything."""


PanelFactory = Callable[["Session"], Panel]
