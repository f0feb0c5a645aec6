"""Batches as rows: how many there are, a span of them, and what a part weighs in the mean over the whole.

A batch is a tensor, an array, a mapping of these (a dict, a `BatchEncoding`), or a tuple or list of them. Rows are the
first dimension. What has only one row beside others with many (a mask for all of them) or none (a number, a text) goes
into every part as it is; a list with one entry a row is cut like a tensor.
"""

from __future__ import annotations

import copy
import re
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

IGNORED = -100
"""Labels that torch's cross entropy leaves out of its mean."""
CAUSAL = re.compile(r"ForCausalLM$|LMHeadModel$")

Count = Callable[[Any], float]


def rows_of(batch: Any) -> int:
    """Rows of `batch`; 1 where it cannot be cut: no tensors in it, or tensors that do not agree about it."""
    sizes = {int(leaf.shape[0]) for leaf in _tensors(batch) if leaf.ndim} or {len(_plain(batch))}
    rows = max(sizes)
    return rows if sizes <= {1, rows} else 1


def width_of(batch: Any) -> int:
    """Numbers in one row of the batch's largest tensor: a sequence's length, an image's pixels."""
    return max((leaf.numel() // max(int(leaf.shape[0]), 1) for leaf in map(_sized, _tensors(batch)) if leaf.ndim), default=1)


def cut(batch: Any, rows: int, start: int, stop: int) -> Any:
    """Rows `start` to `stop` of a batch of `rows`; tensors are views, and the whole is the batch itself."""
    if (start, stop) == (0, rows):
        return batch
    return _cut(batch, rows, slice(start, stop))


def counted_by(model: Any, whole: Any = None) -> Count:
    """What a mean loss divides by, for a part: labels that count where there are such, else rows.

    Integer `labels` in a mapping count where they are not -100; of a causal language model's, those from the second
    column on, since each is predicted from the ones before. Where none are called so, those of the one integer tensor of
    `whole` in which -100 occurs.
    """
    number = _ignoring(whole)
    base = model
    while hasattr(base, "get_base_model") or hasattr(base, "module"):
        base = base.get_base_model() if hasattr(base, "get_base_model") else base.module
    named = any(CAUSAL.search(cls.__name__) for cls in type(base).__mro__)  # a class of the user's own may be below one
    causal = getattr(base, "loss_type", None) == "ForCausalLM" or named

    def count(part: Any) -> float:
        labels = part.get("labels") if isinstance(part, (Mapping, UserDict)) else None
        if labels is None and number is not None:
            return float(list(_tensors(part))[number].ne(IGNORED).sum())
        if labels is None or not hasattr(labels, "ne") or labels.is_floating_point() or not labels.ndim:
            return rows_of(part)
        if causal and labels.ndim > 1:
            labels = labels[:, 1:]
        return float(labels.ne(IGNORED).sum())

    return count


def adds_up(part: Any) -> float:
    """What a part counts for where losses of parts add up as they are: all the same, and so does the whole."""
    return 1.0


def says_nothing(part: Any) -> float:
    """Stands for a batch of which nothing could be measured, so that it is no proof against splitting; nothing counts by it."""
    raise AssertionError("no part is weighed by a batch that says nothing")


def _ignoring(whole: Any) -> int | None:
    """Which of the tensors of `whole` holds labels that do not count, by its place; None where none or several do."""
    leaves = list(_tensors(whole)) if whole is not None else []
    found = [n for n, leaf in enumerate(leaves) if hasattr(leaf, "ne") and not leaf.is_floating_point() and bool(leaf.eq(IGNORED).any())]
    return found[0] if len(found) == 1 else None


def _is_tensor(thing: Any) -> bool:
    return hasattr(thing, "shape") and hasattr(thing, "ndim")


def _sized(leaf: Any) -> Any:
    """numpy's arrays say `size` where tensors say `numel()`."""
    return leaf if hasattr(leaf, "numel") else _Array(leaf)


class _Array:
    def __init__(self, array: Any) -> None:
        self.shape, self.ndim, self._size = array.shape, array.ndim, int(array.size)

    def numel(self) -> int:
        return self._size


def _tensors(batch: Any) -> Iterator[Any]:
    if _is_tensor(batch):
        yield batch
    elif isinstance(batch, (Mapping, UserDict)):
        for value in batch.values():
            yield from _tensors(value)
    elif isinstance(batch, (tuple, list)):
        for value in batch:
            yield from _tensors(value)


def _plain(batch: Any) -> Any:
    """The samples of a batch without tensors."""
    if isinstance(batch, list):
        return batch
    if isinstance(batch, (Mapping, UserDict)):
        return next((value for value in batch.values() if isinstance(value, list)), [None])
    return [None]


def _cut(batch: Any, rows: int, span: slice) -> Any:
    if _is_tensor(batch):
        return batch[span] if batch.ndim and batch.shape[0] == rows else batch
    if isinstance(batch, UserDict):  # BatchEncoding, BatchFeature
        part = copy.copy(batch)
        part.data = {name: _cut(value, rows, span) for name, value in batch.items()}
        return part
    if isinstance(batch, Mapping):
        cut = {name: _cut(value, rows, span) for name, value in batch.items()}
        return cut if type(batch) is dict else type(batch)(cut)  # type: ignore[call-arg]
    if isinstance(batch, (tuple, list)):
        if isinstance(batch, list) and len(batch) == rows and not any(True for _ in _tensors(batch)):
            return batch[span]
        parts = [_cut(value, rows, span) for value in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch
