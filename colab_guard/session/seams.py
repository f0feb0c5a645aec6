"""What the session asks of the parts that others build."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from colab_guard.session.session import Session


class GuardedWork(Protocol):
    """Running guarded work: a `%%checkpointed` cell, or `with colab_guard.work():`."""

    name: str

    def request_stop(self, by: str) -> None:
        """Stop at the next safe point; `by` is "interrupt", "magic", "panel" or "cli"."""

    def request_commit(self) -> None:
        """Take a snapshot at the next safe point, due or not."""

    def status(self) -> object:
        """How it stands."""


class Panel(Protocol):
    """The panel, made by a room on this floor and handed in by the extension."""

    def show(self) -> None:
        """Draw it in the output of the running cell."""

    def freeze(self) -> None:
        """Replace what was drawn last by its static form."""

    def text(self) -> str:
        """The same in words."""

    def close(self) -> None:
        """Listen no more."""


class MemoryGuard(Protocol):
    """The part of `memory.MemoryGuard` that the session drives."""

    @property
    def in_force(self) -> bool:
        """Whether a limit is set."""

    def on(self, limit: float) -> None:
        """Set the limit, a fraction of the GPU's memory."""

    def off(self) -> None:
        """Take it back."""

    def work_started(self, name: str) -> None:
        """Guarded work begins."""

    def work_ended(self) -> None:
        """Guarded work has ended."""

    def status(self) -> object:
        """What is in force and used; its `str()` is shown."""

    def close(self) -> None:
        """Take back everything."""


PanelFactory = Callable[["Session"], Panel]
