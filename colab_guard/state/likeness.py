"""What tensors are like (type, dtype, shape, strides, device, ...), of hundreds at once.

torch has a check of its own for this, by which compiled code tells whether it fits what it is called with: in C++, and
ten times as fast as asking each tensor. It is private to torch, and so tried out before it is trusted; where it is not
there, or does not notice what it must, the tensors are asked.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Sequence
from itertools import chain
from typing import Any

_attributes = operator.attrgetter("__dict__")
# asked before torch's check, which cannot take a tensor without strides
_KIND = operator.attrgetter("layout", "is_leaf", "requires_grad")
_HOOKS = operator.attrgetter("_backward_hooks", "_post_accumulate_grad_hooks")
# whether it is quantized its dtype tells
_LIKE = operator.attrgetter("dtype", "shape", "device")
_CALLS = ("stride", "is_neg")


class Likeness:
    """Of some tensors; it holds none of them."""

    __slots__ = ("_check", "_count", "_rest", "_told")

    def __init__(self, tensors: Sequence[Any]) -> None:
        self._count = len(tensors)
        self._rest = _rest(tensors)
        made = _check(tensors) if tensors else None
        self._check = None if made is None or not made.check(*tensors) else made
        self._told = _told(tensors) if self._check is None else []

    def is_of(self, tensors: Sequence[Any]) -> bool:
        """Whether these are as many, and each is like the one in its place."""
        if len(tensors) != self._count or _rest(tensors) != self._rest:
            return False
        if self._check is not None:
            return bool(self._check.check(*tensors))
        return _told(tensors) == self._told


def _rest(tensors: Sequence[Any]) -> list[Any]:
    """What torch's check leaves out, and what it must not be asked without."""
    if not tensors:
        return []
    plain: Any = type(tensors[0])  # torch's own classes: their methods are found once
    hooked = any(map(any, map(_HOOKS, tensors)))  # never held: hooks are put into the very dictionary
    return [hooked, *map(len, map(_attributes, tensors)), *map(_KIND, tensors), *map(plain.storage_offset, tensors)]


def _told(tensors: Sequence[Any]) -> list[Any]:
    if not tensors:
        return []
    like, plain = list(map(_LIKE, tensors)), type(tensors[0])
    calls = (*_CALLS, "is_conj") if any(dtype.is_complex for dtype in {one[0] for one in like}) else _CALLS
    return [*map(type, tensors), *like, *chain.from_iterable(map(getattr(plain, call), tensors) for call in calls)]


def _check(tensors: Sequence[Any]) -> Any:
    torch = sys.modules["torch"]
    return _made(torch, tensors) if _notices(torch) else None


def _made(torch: Any, tensors: Sequence[Any]) -> Any:
    return torch._C._dynamo.guards.TensorGuards(*tensors, dynamic_dims_sizes=None, dynamic_dims_strides=None)


@functools.cache
def _notices(torch: Any) -> bool:
    """Whether the check is there, and tells apart what must be told apart."""
    try:
        # whatever device, dtype or mode the user has set
        zeros = functools.partial(torch.zeros, device="cpu", dtype=torch.float32)
        plain, complex_one = zeros(2, 3), zeros(2, 3, dtype=torch.complex64)
        same = _made(torch, [plain, complex_one]).check(zeros(2, 3), zeros(2, 3, dtype=torch.complex64))
        pairs = (
            (plain, torch.nn.Parameter(zeros(2, 3), requires_grad=False)),
            (plain, zeros(2, 3, dtype=torch.int32)),
            (plain, zeros(2, 3, device="meta")),
            (plain, zeros(3, 2)),
            (plain, zeros(2, 3, 1)),
            (plain, zeros(3, 2).t()),
            (complex_one, complex_one.conj()),
            (plain, torch._neg_view(plain)),
        )
        return bool(same) and not any(_made(torch, [one]).check(other) for one, other in pairs)
    except Exception:  # another torch: it has no such check, or one that is made in another way
        return False
