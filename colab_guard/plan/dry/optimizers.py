"""Optimizers over meta tensors: torch's and transformers' own code where it runs there, else what they keep, from sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

EIGHT_BIT_BLOCK = 256
EIGHT_BIT_FROM = 4096
"""bitsandbytes: moments of tensors of so many elements are kept in 8 bits, with one float32 for each block of each moment."""


class Optimizer(Protocol):
    state: Any

    def step(self) -> Any: ...


class KeepsOnly:
    """Makes its state at the first step and takes nothing beside it: a fused kernel, or moments in 8 bits."""

    def __init__(self, parameters: Sequence[Any], *, bits: int = 32) -> None:
        self._parameters = parameters
        self._bits = bits
        self.state: list[Any] = []

    def step(self) -> None:
        if not self.state:
            for parameter in self._parameters:
                self.state += [part for _ in range(2) for part in self._moment(parameter)]

    def _moment(self, parameter: Any) -> list[Any]:
        if self._bits == 32 or parameter.numel() < EIGHT_BIT_FROM:
            return [torch.zeros_like(parameter, dtype=None if self._bits == 32 else torch.float32)]
        blocks = -(-parameter.numel() // EIGHT_BIT_BLOCK)
        return [torch.zeros_like(parameter, dtype=torch.uint8), torch.zeros(blocks, dtype=torch.float32, device=parameter.device)]


def optimizer(name: str, parameters: Sequence[Any], device: str) -> Optimizer:
    """The optimizer called `name` in `Step`, as it works by default on `device`."""
    together = device == "cuda"
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=1e-4, foreach=together)
    if name == "adamw_fused":
        return KeepsOnly(parameters)
    if name == "adamw_8bit":
        return KeepsOnly(parameters, bits=8)
    if name in ("sgd", "sgd_momentum"):
        return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9 if name == "sgd_momentum" else 0.0, foreach=together)
    from transformers.optimization import Adafactor

    return Adafactor(parameters, lr=1e-4, scale_parameter=False, relative_step=False)


def state_bytes(made: Optimizer) -> int:
    """What an optimizer keeps on the device."""
    kept = made.state if isinstance(made.state, list) else [part for one in made.state.values() for part in one.values()]
    tensors = [part for part in kept if isinstance(part, torch.Tensor) and part.device.type == "meta"]
    return sum(part.numel() * part.element_size() for part in tensors)
