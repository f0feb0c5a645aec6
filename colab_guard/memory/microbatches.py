"""`for micro in microbatches(batch, model):` in a loop of the user's own: a batch that does not fit runs in parts.

    for batch in loader:
        for micro in colab_guard.microbatches(batch, model):
            with micro as part:
                loss = model(**part).loss * micro.weight
                loss.backward()
        optimizer.step()
        optimizer.zero_grad()

A batch runs whole as long as it fits, and its weight is 1. Where memory runs out inside `with micro`, the part's gradients,
running averages and random state are put back, memory is cleared, and its rows run again, by the ladder.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from colab_guard.errors import BadOption
from colab_guard.memory.batches import Count, adds_up, counted_by
from colab_guard.memory.parts import Parts
from colab_guard.memory.recovery import Recovery, here
from colab_guard.memory.undo import Before

HOW = "for micro in colab_guard.microbatches(batch, model): with micro as part: (loss_of(part) * micro.weight).backward()"


class Micro:
    """One part of a batch. `with micro as part` runs it; `weight` is its share in the batch's mean loss.

    `failed` is True once it did not fit: its rows come again, and code below the `with` runs for it nevertheless.
    A snapshot keeps nothing of it: between two parts it is over, and inside one none is taken.
    """

    def __init__(self, parts: Parts, span: tuple[int, int], adds_up: bool) -> None:
        self._parts = parts
        self._span = span
        self._adds_up = adds_up
        self._asked = adds_up
        self.entered = False
        self.failed = False

    @property
    def weight(self) -> float:
        """What to multiply the part's mean loss by, so that the batch's gradient is that of its mean over all rows."""
        self._asked = True
        return 1.0 if self._adds_up else self._parts.weight(self._span)

    @property
    def rows(self) -> int:
        return self._span[1] - self._span[0]

    def __enter__(self) -> Any:
        self.entered = True
        self._before: Before | None = self._parts.before()
        return self._parts.rows_of(self._span)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.entered and self._before is not None:
            raise TypeError("a part of a batch is half done")
        return _over, ()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        before, self._before = self._before, None
        assert before is not None
        if isinstance(error, Exception):
            self.failed = self._parts.failed(error, before)
            return self.failed
        before.keep()
        if error is None:
            if not self._asked:
                raise BadOption(
                    "micro.weight was not used: multiply the loss by it before backward() (it is 1 until a batch has to be "
                    'split), or say microbatches(..., loss="sum") where losses of parts add up'
                )
            self._parts.done(self._span)
        return False


def _over() -> None:
    """A part that is over, after a resume."""


class MicroBatches:
    """The parts of one batch. A snapshot between two of them keeps the batch and how many of its rows are done."""

    def __init__(
        self, recovery: Recovery, batch: Any, models: Sequence[Any], size: int | None, loss: str, count: Count | None, done: int = 0
    ) -> None:
        self._recovery = recovery
        self._made_with = (batch, models, size, loss, count)
        self._done = done
        self._parts: Parts | None = None
        self._micro: Micro | None = None

    def __iter__(self) -> MicroBatches:
        return self

    def __next__(self) -> Micro:
        batch, models, size, loss, count = self._made_with
        if self._parts is None:

            def weigh(whole: Any) -> Count:
                return adds_up if loss == "sum" else count or counted_by(models[0], whole)

            self._parts = self._recovery.begin(batch, models, weigh, size=size, done=self._done)
        micro, self._micro = self._micro, None
        if micro is not None and not micro.entered:
            raise BadOption(f"the part was not run inside `with micro`, so an error would not be seen; write {HOW}")
        if micro is not None and micro.failed:
            self._parts.recover()
        span = self._parts.next()
        if span is None:
            raise StopIteration
        self._micro = Micro(self._parts, span, loss == "sum")
        return self._micro

    def __reduce__(self) -> tuple[Any, ...]:
        done = self._done if self._parts is None else self._parts.rows_done
        return _go_on, (*self._made_with, done)


def _go_on(*made_with: Any) -> MicroBatches:
    return MicroBatches(here(), *made_with)


def microbatches(
    recovery: Recovery,
    batch: Any,
    model: Any,
    *,
    size: int | None = None,
    loss: str = "mean",
    count: Count | None = None,
) -> MicroBatches:
    """The parts of `batch`, a `Micro` each; see the module for how a loop uses it.

    model  the `torch.nn.Module`, or several in a tuple, through which the batch goes
    size   at most so many rows in one part from the start (a plan's `batch_size`)
    loss   "mean": the loss is a mean, over rows or over labels that are not -100; "sum": losses of parts add up
    count  for a mean over something else: a function from a part to the number that its mean divides by
    """
    models: Sequence[Any] = list(model) if isinstance(model, (tuple, list)) else [model]
    if not models or any(not hasattr(one, "parameters") for one in models):
        raise BadOption(f"microbatches(batch, model) takes the model that the batch goes through, not {model!r:.60}")
    if loss not in ("mean", "sum"):
        raise BadOption(f"loss={loss!r} means nothing; use 'mean' or 'sum'")
    if size is not None and size < 1:
        raise BadOption(f"size={size} is no number of rows; use at least 1, or leave it out")
    return MicroBatches(recovery, batch, models, size, loss, count)
