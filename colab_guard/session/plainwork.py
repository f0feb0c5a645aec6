"""`with colab_guard.work():`: guarded work without a cell of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from colab_guard.errors import BadOption
from colab_guard.events import WorkEnded, WorkStarted
from colab_guard.session.session import Session, current
from colab_guard.session.words import work_name


class PlainWork:
    """Work that is kept alive and watched, and has no safe points of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def request_stop(self, by: str) -> None:
        raise BadOption(
            f"{self.name!r} is a plain `with work()` and has no safe points; interrupt it, or use %%checkpointed"
        )

    def request_commit(self) -> None:
        raise BadOption(
            f"{self.name!r} is a plain `with work()` and saves nothing; put %%checkpointed above the cell instead"
        )

    def status(self) -> str:
        return f"{self.name}: running, kept alive and watched; NOT SAVED (only %%checkpointed saves)"


@contextmanager
def work(name: str = "work", *, session: Session | None = None) -> Iterator[PlainWork]:
    """Guard a block: signs of life (if `%keepalive` is in force), memory watch and panel. Saves nothing.

    with colab_guard.work("evaluation"):
        evaluate(model)
    """
    session = session or current()
    plain = PlainWork(work_name(name))
    with session.panelled(), session.guarded(plain):
        session.bus.post(WorkStarted(name=plain.name))
        try:
            yield plain
        except BaseException as error:
            outcome = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            session.bus.post(WorkEnded(name=plain.name, outcome=outcome, reason=f"{type(error).__name__}: {error}"))
            raise
        session.bus.post(WorkEnded(name=plain.name, outcome="done"))
