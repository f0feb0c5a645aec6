"""A notebook in one process: cells run plainly, one of them guarded; "another kernel" is another shell and session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from colab_guard.events import CommittedUsed, Event, EventBus, NotBitExact, Resumed
from colab_guard.session import CheckpointOptions, Session, checkpointing
from tests.cells.harness import fresh_shell

NOW = SimpleNamespace(calls=0, lose_at=-1, session=None)


class Lost(BaseException):
    """Stands for the loss of the kernel, at a place that the cell chooses."""


def here() -> None:
    """Called in guarded cells: asks for a snapshot at the next safe point; the kernel is lost at the chosen call."""
    NOW.calls += 1
    if NOW.calls == NOW.lose_at:
        raise Lost
    NOW.session.request_commit()


@dataclass
class Kernel:
    """One kernel; close it at the end."""

    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shell = fresh_shell()
        self.names: dict[str, Any] = self.shell.user_ns
        self.session = Session(self.shell, bus=EventBus(synchronous=True))
        self.session.bus.subscribe(lambda event, at: self.events.append(event))
        self.run("from tests.session.notebook import here")

    def run(self, *sources: str) -> Kernel:
        """Run plain cells."""
        for source in sources:
            self.shell.run_cell(source, store_history=True).raise_error()
        return self

    def guarded(self, source: str, lose_at: int = -1, name: str = "work", **options: Any) -> Any:
        """Run `source` guarded; None when the kernel was lost at the `lose_at`-th `here()`."""
        NOW.calls, NOW.lose_at, NOW.session = 0, lose_at, self.session
        self.names["In"].append("%%checkpointed")
        self.events.clear()
        chosen = CheckpointOptions(**{"every_s": 3600.0, "budget": 1.0, **options})
        try:
            return checkpointing.run(self.session, name, source, chosen)
        except Lost:
            return None

    @property
    def used(self) -> list[str]:
        """Where the committed value was used though this kernel had another."""
        return [line for event in self.events if isinstance(event, CommittedUsed) for line in event.changes]

    @property
    def inexact(self) -> list[str]:
        return [reason for event in self.events if isinstance(event, NotBitExact) for reason in event.reasons]

    @property
    def depths(self) -> list[int]:
        return [event.depth for event in self.events if isinstance(event, Resumed)]


class Opaque:
    """An item that cannot be compared between processes."""

    def __init__(self, number: int) -> None:
        self.number = number


class Stream:
    """A library's iterable: each pass is a generator of its own. `opaque`: of what kind its items are."""

    def __init__(self, count: int, opaque: bool = True) -> None:
        self.count, self.opaque = count, opaque

    def __iter__(self) -> Iterator[Any]:
        for number in range(self.count):
            yield Opaque(number) if self.opaque else number
