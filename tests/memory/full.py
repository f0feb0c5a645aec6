"""Memory that is full when a test says so: torch's own exception, raised where the allocator would raise it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def out_of_memory() -> torch.OutOfMemoryError:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.56 GiB")


class Full:
    """`full(rows)` raises for as long as it says so; every call is noted."""

    def __init__(self, when: Callable[[int, int], bool]) -> None:
        self.when = when
        self.seen: list[int] = []

    def __call__(self, rows: int) -> None:
        self.seen.append(rows)
        if self.when(len(self.seen), rows):
            raise out_of_memory()


class Forward(torch.nn.Module):
    """Hands on its input; memory is full in its forward pass."""

    def __init__(self, full: Full) -> None:
        super().__init__()
        self.full = full

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.full(len(x))
        return x


class _InBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, full: Full) -> torch.Tensor:
        ctx.full = full
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        ctx.full(len(gradients[0]))
        return gradients[0], None


class Backward(Forward):
    """Memory is full in its backward pass: the layers after it have their gradients then."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = _InBackward.apply(x, self.full)
        return found
