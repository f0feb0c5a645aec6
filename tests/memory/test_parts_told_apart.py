"""What is put back, and what a part's loss counts for, where models, labels and steps are not the plainest."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from colab_guard.errors import BadOption
from colab_guard.memory.microbatches import microbatches
from colab_guard.memory.recovery import Recovery as RealRecovery
from tests.memory.full import out_of_memory


def recovery() -> RealRecovery:
    return RealRecovery(clear=lambda: None)


class FullOnce(torch.autograd.Function):
    """Memory is full in the first backward pass by way of it."""

    left = 0

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        if FullOnce.left:
            FullOnce.left -= 1
            raise out_of_memory()
        return gradient


def test_two_models_are_undone_together_though_one_of_them_was_known_alone() -> None:
    torch.manual_seed(0)
    first, second, x = nn.Linear(4, 4), nn.Linear(4, 1), torch.randn(8, 4)
    second(first(x)).pow(2).mean().backward()
    assert second.weight.grad is not None
    expected = second.weight.grad.clone()
    kept = recovery()
    for models in (first, (first, second)):
        first.zero_grad()
        second.zero_grad()
        FullOnce.left = int(models is not first)
        for micro in microbatches(kept, (x,), models):
            with micro as (part,):
                (second(FullOnce.apply(first(part))).pow(2).mean() * micro.weight).backward()
    assert torch.allclose(second.weight.grad, expected, rtol=1e-6)


@pytest.mark.parametrize("named", [False, True], ids=["a tuple", "a mapping with names of its own"])
def test_labels_that_do_not_count_are_told_by_their_value_too(named: bool) -> None:
    torch.manual_seed(0)
    net, ids = nn.Embedding(7, 7), torch.randint(0, 7, (4, 6))
    wanted = ids.clone()
    wanted[2:, 1:] = -100

    def loss_of(ids: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(net(ids).flatten(0, 1), wanted.flatten())

    loss_of(ids, wanted).backward()
    assert net.weight.grad is not None
    expected = net.weight.grad.clone()
    net.zero_grad()
    batch: Any = {"ids": ids, "target": wanted} if named else (ids, wanted)
    for micro in microbatches(recovery(), batch, net, size=2):
        with micro as part:
            (loss_of(*(part.values() if named else part)) * micro.weight).backward()
    assert torch.allclose(net.weight.grad, expected, rtol=1e-5)


def test_a_part_of_which_no_label_counts_is_passed_over() -> None:
    torch.manual_seed(0)
    net, ids = nn.Embedding(7, 7), torch.randint(0, 7, (4, 6))
    wanted = ids.clone()
    wanted[1] = -100
    batch = {"ids": ids, "labels": wanted}

    def loss_of(ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(net(ids).flatten(0, 1), labels.flatten())

    loss_of(**batch).backward()
    assert net.weight.grad is not None
    expected, rows = net.weight.grad.clone(), []
    net.zero_grad()
    for micro in microbatches(recovery(), batch, net, size=1):
        with micro as part:
            (loss_of(**part) * micro.weight).backward()
            rows.append(part["ids"])
    assert len(rows) == 3 and torch.allclose(net.weight.grad, expected, rtol=1e-5)


def test_where_losses_add_up_no_part_is_passed_over() -> None:
    net = nn.Linear(4, 1)
    batch = {"x": torch.randn(4, 4), "labels": torch.full((4,), -100)}
    seen = 0
    for micro in microbatches(recovery(), batch, net, size=1, loss="sum"):
        with micro as part:
            net(part["x"]).sum().backward()
            seen += 1
    assert seen == 4


def test_a_part_says_whether_it_failed_to_the_code_below_it() -> None:
    net, tried, counted = nn.Linear(4, 1), 0, 0
    for micro in microbatches(recovery(), (torch.randn(8, 4),), net):
        with micro as (part,):
            tried += 1
            if len(part) > 4:
                raise out_of_memory()
            (net(part).mean() * micro.weight).backward()
        if not micro.failed:
            counted += micro.rows
    assert (tried, counted) == (4, 8)


def test_a_batch_that_stays_whole_costs_no_useless_tries_and_nothing_of_what_is_known_of_others() -> None:
    told: list[Any] = []
    changed: list[str] = []
    guard, net = RealRecovery(told.append, lambda: None, changed.append), nn.Linear(4, 1)
    seen: list[int] = []

    def part(rows: Any, weight: float, kept: float) -> None:
        seen.append(len(rows))
        if len(rows) > 8:
            raise out_of_memory()
        (net(rows).mean() * weight).backward()

    def run(count: Any) -> list[int]:
        seen.clear()
        guard.run(torch.randn(16, 4), net, lambda batch: count, part, lambda: None)
        return seen

    assert run(guard.rows) == [16, 16, 8, 8]
    known = guard.to_json()
    told.clear()
    with pytest.raises(torch.OutOfMemoryError) as caught:
        run(None)
    assert seen == [16, 16] and [event.did for event in told] == ["the same again"]
    assert caught.value.__notes__ == ["colab_guard: out of GPU memory with the same once more; nothing is left to try."]
    assert guard.to_json() == known and run(guard.rows) == [8, 8]


def test_an_optimizers_step_inside_a_part_is_not_taken_for_undone() -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    before = net.weight.detach().clone()
    with pytest.raises(torch.OutOfMemoryError) as caught:
        for micro in microbatches(recovery(), (torch.randn(8, 4),), net):
            with micro as (part,):
                (net(part).pow(2).mean() * micro.weight).backward()
                optimizer.step()
                raise out_of_memory()
    assert any("cannot be put back without a snapshot" in note for note in caught.value.__notes__)
    assert not torch.equal(net.weight, before)


def test_a_step_inside_a_part_that_does_not_see_earlier_gradients_is_an_error() -> None:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.randn(8, 4)).pow(2).mean().backward()
    with pytest.raises(BadOption, match=r"put optimizer\.step\(\) and what belongs to it below the loop"):
        for micro in microbatches(recovery(), (torch.randn(8, 4),), net):
            with micro as (part,):
                (net(part).pow(2).mean() * micro.weight).backward()
                optimizer.step()
