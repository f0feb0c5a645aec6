"""A batch is split as its loss was measured, and as another loss was measured never."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import nn

from colab_guard.memory.recovery import Recovery
from colab_guard.training.parts import how_losses_add_up, step_in_parts
from tests.memory.full import out_of_memory


def mean(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x - y).pow(2).mean()


def contrastive(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    z = nn.functional.normalize(x, dim=-1)
    return nn.functional.cross_entropy(z @ z.T * 5, torch.arange(len(x)))


def nothing(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return mean(x, y) * 0


def no_number(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return mean(x, y) * float("nan")


class Trainer:
    """As much of one as a step in parts needs; its loss may become another one."""

    def __init__(self, loss: Any) -> None:
        self.loss = loss

    def compute_loss_context_manager(self) -> Any:
        return contextlib.nullcontext()

    def _prepare_inputs(self, batch: Any) -> Any:
        return batch

    def compute_loss(self, model: Any, batch: Any, num_items_in_batch: Any = None) -> Any:
        return self.loss(model(batch["x"]), batch["y"])


def batch() -> dict[str, torch.Tensor]:
    return {"x": torch.randn(8, 3, generator=torch.Generator().manual_seed(1)), "y": torch.zeros(8, 4)}


def trained(recovery: Recovery, trainer: Trainer, model: nn.Linear) -> list[int]:
    """The rows of the parts that were run, where four fit."""
    done = []

    def step(trainer: Trainer, model: Any, rows: Any, items: Any) -> torch.Tensor:
        if len(rows["x"]) > 4:
            raise out_of_memory()
        loss = trainer.compute_loss(model, rows, items)
        loss.backward()
        done.append(len(rows["x"]))
        return torch.as_tensor(loss.detach())

    model.zero_grad()
    step_in_parts(recovery, step, trainer, model, batch(), None)
    return done


@pytest.fixture
def model() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 4)


@pytest.mark.parametrize("same", [True, False], ids=["the same Trainer's", "another Trainer's"])
def test_a_loss_over_the_whole_batch_is_not_split_as_an_earlier_mean_was(model: nn.Linear, same: bool) -> None:
    recovery, trainer = Recovery(clear=lambda: None), Trainer(mean)
    assert trained(recovery, trainer, model) == [4, 4]
    if not same:
        trainer = Trainer(mean)
    trainer.loss = contrastive
    with pytest.raises(torch.OutOfMemoryError):
        trained(recovery, trainer, model)
    trainer.loss = nothing  # what is remembered of the mean is forgotten
    with pytest.raises(torch.OutOfMemoryError):
        trained(recovery, trainer, model)


@pytest.mark.parametrize("loss", [nothing, no_number])
def test_a_loss_that_says_nothing_is_split_as_the_one_before_it_of_that_trainer(model: nn.Linear, loss: Any) -> None:
    recovery, trainer = Recovery(clear=lambda: None), Trainer(mean)
    assert trained(recovery, trainer, model) == [4, 4]
    trainer.loss = loss
    assert trained(recovery, trainer, model) == [4, 4]
    with pytest.raises(torch.OutOfMemoryError):
        trained(recovery, Trainer(loss), model)


def test_what_was_not_measured_is_told_from_what_does_not_add_up(model: nn.Linear) -> None:
    recovery = Recovery(clear=lambda: None)

    def full(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        raise out_of_memory()

    found = {loss: how_losses_add_up(recovery, Trainer(loss), model, batch(), None) for loss in (full, nothing, no_number, contrastive)}
    assert found == {full: recovery.says_nothing, nothing: recovery.says_nothing, no_number: recovery.says_nothing, contrastive: None}
