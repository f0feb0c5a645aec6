"""What the user's own code calls: `with colab_guard.work():`, and `microbatches` in a training loop."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from colab_guard.errors import BadOption
from colab_guard.events import WorkEnded, WorkStarted
from colab_guard.session.session import Session, current
from colab_guard.session.words import work_name

if TYPE_CHECKING:
    from colab_guard.memory.microbatches import MicroBatches


class PlainWork:
    """Work that is kept alive and watched, and has no safe points of its own."""

    saves = False

    def __init__(self, name: str) -> None:
        self.name = name

    def cannot_prove(self) -> str:
        return "with work() saves nothing"

    def only_here(self) -> str:
        return "with work() saves nothing, so that what it made is on this machine alone"

    def request_stop(self, by: str, *, after_unit: bool = False) -> None:
        raise BadOption(
            f"{self.name!r} is a plain `with work()` and has no safe points; interrupt it, or use %%checkpointed"
        )

    def request_commit(self) -> None:
        raise BadOption(
            f"{self.name!r} is a plain `with work()` and saves nothing; put %%checkpointed above the cell instead"
        )

    def make_room(self) -> None:
        """Nothing of ours is held, and nothing can be saved."""

    def plan_changed(self, what: str) -> None:
        """The event tells it; there is no commit that could carry it."""

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
    importlib.import_module("colab_guard.state")  # which takes secrets out of all that is told
    with session.panelled(), session.guarded(plain, WorkStarted(name=plain.name, saves=plain.saves)):
        try:
            yield plain
        except BaseException as error:
            outcome = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            session.bus.post(WorkEnded(name=plain.name, outcome=outcome, reason=f"{type(error).__name__}: {error}"))
            raise
        session.bus.post(WorkEnded(name=plain.name, outcome="done"))


def microbatches(
    batch: Any,
    model: Any,
    *,
    size: int | None = None,
    loss: str = "mean",
    count: Callable[[Any], float] | None = None,
) -> MicroBatches:
    """Run a batch whole, or in smaller and smaller parts where memory runs out; the batch's gradient stays the same.

    for batch in loader:
        for micro in colab_guard.microbatches(batch, model):
            with micro as part:
                loss = model(**part).loss * micro.weight
                loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    batch  a tensor, array, dict, `BatchEncoding`, or a tuple or list of these; rows are the first dimension
    model  the `torch.nn.Module` that it goes through, or a tuple of several
    size   at most so many rows in one part from the start
    loss   "mean" (over rows, or over labels that are not -100) or "sum" (losses of parts add up; no weight is needed)
    count  a part → the number that its mean divides by, where that is something else

    The error of a part is seen by `with micro`, anywhere: in a checkpointed cell, in `with run:`, or in a plain loop.
    """
    from colab_guard.memory.microbatches import microbatches as parts

    return parts(current().recovery, batch, model, size=size, loss=loss, count=count)
