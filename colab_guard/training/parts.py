"""A Trainer's micro-batch in smaller parts, with the same gradient, for when it does not fit into memory.

The batch that was fetched and collated is cut, not fetched anew: the order of the data, its padding and masking, the
number of steps and what one of them counts stay as they are written. What changes is how many rows go through the model
at once.

How the loss of a batch comes from its parts' is measured, not guessed: a sum over `num_items_in_batch`, a mean over
labels or over rows, or (contrastive losses, losses with terms over the whole batch) not at all. It is measured on rows
that fit, without gradients and without dropout, and random state is left as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from colab_guard import state
from colab_guard.training import internals

Count = Callable[[Any], float]
PLAIN = frozenset({int, float, str, bool, type(None)})
TOLERANCE = 5e-3
"""Relative; sums and means over rows that are not alike differ by far more, also in half precision."""
ROWS_TO_MEASURE = (3, 2)
"""An odd number tells means over rows from others; two are what fits if three do not."""


class InParts(Protocol):
    """What runs a batch in parts; implemented by `memory`."""

    def run(
        self,
        batch: Any,
        model: Any,
        weigh: Callable[[Any], Count | None],
        part: Callable[[Any, float, float], Any],
        undo: Callable[[], None],
        labels: Count | None,
        *,
        owner: Any,
    ) -> list[Any]:
        """`part(rows, weight, kept)` for each part of `batch`; what they gave.

        `kept` is the share of its `labels` that are left where its sequences were cut, else 1. `weigh` is asked once a
        batch has to be split: what a part counts for, None where the batch cannot be, `says_nothing` where it is split as
        the one before it of that `owner`, which computes the loss. `undo` puts back what a part that failed has changed
        beside gradients, running averages and random state.
        """

    def rows(self, batch: Any) -> int:
        """How many rows it has; 1 where it cannot be cut."""

    def cut(self, batch: Any, start: int, stop: int) -> Any:
        """Some rows of `batch`."""

    def count(self, model: Any) -> Count:
        """What a mean loss of `model` divides by, for a part."""

    def adds_up(self, part: Any) -> float:
        """The count for losses that add up as they are."""

    def says_nothing(self, part: Any) -> float:
        """The count that stands for a batch whose own loss tells nothing; it is never called."""


def step_in_parts(in_parts: InParts, step: Callable[..., Any], trainer: Any, model: Any, inputs: Any, items: Any) -> Any:
    """`step(trainer, model, inputs, items)`, the Trainer's own training step: whole, or in parts whose losses add up."""
    counters = _Counters(trainer)

    def part(rows: Any, weight: float, kept: float) -> Any:
        # a sum over labels is divided by `items`, so that those which are left have the whole batch's say
        counted = items if items is None or kept == 1.0 else items * kept
        with _weighted(trainer, weight):
            return step(trainer, model, rows, counted)

    losses = in_parts.run(
        inputs,
        model,
        lambda batch: how_losses_add_up(in_parts, trainer, model, batch, items),
        part,
        counters.back,
        internals.items_count(trainer),
        owner=trainer,
    )
    return losses[0] if len(losses) == 1 else sum(losses[1:], losses[0])


class _Counters:
    """The Trainer's attributes that are numbers and texts: a subclass may count in its `compute_loss`."""

    def __init__(self, trainer: Any) -> None:
        self._attributes = vars(trainer)
        self._names = set(self._attributes)
        self._values = {name: value for name, value in self._attributes.items() if type(value) in PLAIN}

    def back(self) -> None:
        for name in self._attributes.keys() - self._names:
            del self._attributes[name]
        self._attributes.update(self._values)


@contextmanager
def _weighted(trainer: Any, weight: float) -> Iterator[None]:
    """The Trainer's losses are multiplied by `weight` meanwhile."""
    if weight == 1.0:
        yield
        return
    own = trainer.compute_loss

    def compute_loss(*arguments: Any, **named: Any) -> Any:
        found = own(*arguments, **named)
        return (found[0] * weight, *found[1:]) if isinstance(found, tuple) else found * weight

    with ExitStack() as undo:
        attributes = vars(trainer)
        if "compute_loss" in attributes:
            undo.callback(attributes.__setitem__, "compute_loss", attributes["compute_loss"])
        else:
            undo.callback(attributes.pop, "compute_loss")
        attributes["compute_loss"] = compute_loss
        yield


def how_losses_add_up(in_parts: InParts, trainer: Any, model: Any, batch: Any, items: Any) -> Count | None:
    """What a part counts for in the loss of a whole batch; None where its loss says nothing about the whole's.

    The function gives a number for parts and whole alike, and a part weighs its own over the whole's: for losses that
    add up as they are, all parts weigh 1, and so does the whole. `says_nothing` is no such answer: the loss is 0, which
    adds up in any way, or no number, or too few rows fit to measure it.
    """
    labels = in_parts.count(model)
    before, modes = state.random_state(), [module for module in model.modules() if module.training]
    counters = _Counters(trainer)
    buffers = [(buffer.detach(), buffer.detach().clone()) for buffer in model.buffers()]
    model.eval()
    try:
        losses = _measured(in_parts, trainer, model, batch, items, labels)
    finally:
        for buffer, copy in buffers:
            buffer.copy_(copy)  # counters and queues are kept in some, in evaluation too
        for module in modes:
            module.training = True
        counters.back()
        state.set_random_state(before)
    if losses is None:
        return in_parts.says_nothing
    (whole, whole_loss), *parts = losses
    if whole_loss == 0 or not math.isfinite(whole_loss):
        return in_parts.says_nothing
    ways: list[Count] = [in_parts.adds_up, labels, in_parts.rows]
    way = min(ways, key=lambda way: _error(way, whole, whole_loss, parts))
    return way if _error(way, whole, whole_loss, parts) <= TOLERANCE else None


def _measured(
    in_parts: InParts, trainer: Any, model: Any, batch: Any, items: Any, labels: Count
) -> list[tuple[Any, float]] | None:
    """A few rows and their loss, then the same rows in two parts; None where not even these fit, or there is one row."""
    import torch

    for rows in [count for count in ROWS_TO_MEASURE if count <= in_parts.rows(batch)]:
        start = _telling(in_parts, labels, batch, rows)
        spans = [(start, start + rows), (start, start + 1), (start + 1, start + rows)]
        try:
            with torch.no_grad(), trainer.compute_loss_context_manager():
                parts = [in_parts.cut(batch, *span) for span in spans]
                # computing a loss may take labels out of what it is given
                given = [trainer._prepare_inputs(part) for part in parts]
                losses = [float(trainer.compute_loss(model, part, num_items_in_batch=items)) for part in given]
                return list(zip(parts, losses, strict=True))
        except (RuntimeError, MemoryError):
            continue  # full again; what else is wrong with it, its training step will say
    return None


def _telling(in_parts: InParts, labels: Count, batch: Any, rows: int) -> int:
    """Where to begin, so that both parts have labels, and a mean over labels is not one over rows too, if there is such a row."""
    counts = [labels(in_parts.cut(batch, row, row + 1)) for row in range(in_parts.rows(batch))]
    starts = [start for start in range(len(counts) - rows + 1) if counts[start] and any(counts[start + 1 : start + rows])]
    telling = (start for start in starts if counts[start] * rows != sum(counts[start : start + rows]))
    return next(telling, starts[0] if starts else 0)


def _error(way: Count, whole: Any, loss: float, parts: list[tuple[Any, float]]) -> float:
    """How far the parts' losses, weighed that `way`, are from the whole's; relative."""
    total = way(whole)
    if not total:
        return math.inf
    found = sum(way(part) / total * part_loss for part, part_loss in parts if way(part))
    error = abs(found - loss) / abs(loss)
    return math.inf if math.isnan(error) else error
