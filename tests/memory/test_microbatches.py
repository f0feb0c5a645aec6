"""A loop of the user's own whose batches do not fit: parts of them give the same gradients, and nothing is done twice."""

from __future__ import annotations

import re
from collections import UserDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import colab_guard
from colab_guard.errors import BadOption
from colab_guard.events import Event
from colab_guard.memory.batches import counted_by, cut, rows_of, width_of
from colab_guard.memory.microbatches import microbatches
from colab_guard.memory.recovery import Recovery as RealRecovery
from tests.memory.full import Backward, Forward, Full, out_of_memory

Where = Callable[[Full], nn.Module]


def Recovery(*arguments: Any, **more: Any) -> RealRecovery:
    """One that clears nothing: a collection takes as long as a hundred of these steps."""
    return RealRecovery(*arguments, **{"clear": lambda: None, **more})


def model(layer: nn.Module, *, norm: bool = False, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(3)
    middle = [nn.BatchNorm1d(16)] if norm else []
    return nn.Sequential(nn.Linear(6, 16), *middle, layer, nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 3))


def batches(count: int = 12, rows: int = 8) -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(4)
    return [{"x": torch.randn(rows, 6), "labels": torch.randint(0, 3, (rows,))} for _ in range(count)]


def train(recovery: Recovery, net: nn.Module, data: list[Any], *, every: int = 1, **more: Any) -> tuple[list[float], dict[str, Any]]:
    """Losses by step and the weights; an optimizer's step after `every` batches."""
    torch.manual_seed(5)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for number, batch in enumerate(data):
        total = 0.0
        for micro in microbatches(recovery, batch, net, **more):
            with micro as part:
                loss = nn.functional.cross_entropy(net(part["x"]), part["labels"]) * micro.weight
                loss.backward()
                total += loss.item()
        losses.append(total)
        if (number + 1) % every == 0:
            optimizer.step()
            optimizer.zero_grad()
    return losses, {name: tensor.clone() for name, tensor in net.state_dict().items()}


def plain(net: nn.Module, data: list[Any], every: int = 1) -> tuple[list[float], dict[str, Any]]:
    torch.manual_seed(5)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for number, batch in enumerate(data):
        loss = nn.functional.cross_entropy(net(batch["x"]), batch["labels"])
        loss.backward()
        losses.append(loss.item())
        if (number + 1) % every == 0:
            optimizer.step()
            optimizer.zero_grad()
    return losses, dict(net.state_dict())


def close(told: tuple[list[float], dict[str, Any]], wanted: tuple[list[float], dict[str, Any]]) -> None:
    assert told[0] == pytest.approx(wanted[0], abs=1e-5)
    for name, tensor in wanted[1].items():
        assert torch.allclose(told[1][name].float(), tensor.float(), atol=1e-5), name


def never() -> Full:
    return Full(lambda call, rows: False)


def test_batches_that_fit_run_whole_and_bit_for_bit_as_without() -> None:
    told = train(Recovery(), model(Forward(never()), dropout=0.3), batches())
    wanted = plain(model(Forward(never()), dropout=0.3), batches())
    assert told[0] == wanted[0]
    assert all(torch.equal(told[1][name], tensor) for name, tensor in wanted[1].items())


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("where", [Forward, Backward])
@pytest.mark.parametrize("step", [1, 9])
def test_memory_that_is_full_at_a_step_changes_neither_steps_nor_weights(where: Where, step: int, every: int) -> None:
    told: list[Event] = []
    # the step's batch does not fit at its first try and at its second, halves do
    full = Full(lambda call, rows: step <= call and rows > 4)
    found = train(Recovery(told.append), model(where(full)), batches(), every=every)
    close(found, plain(model(Forward(never())), batches(), every))
    assert full.seen == [8] * (step + 1) + [4] * (2 * (13 - step))
    assert [event.did for event in told] == ["the same again", "8 rows in one pass → 4 rows in each of 2"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("where", [Forward, Backward])
def test_what_does_not_fit_once_is_done_the_same_again_to_the_bit(where: Where) -> None:
    full = Full(lambda call, rows: call == 4)
    found = train(Recovery(), model(where(full), dropout=0.3), batches(), every=2)
    wanted = plain(model(Forward(never()), dropout=0.3), batches(), every=2)
    assert found[0] == wanted[0]
    assert all(torch.equal(found[1][name], tensor) for name, tensor in wanted[1].items())


@pytest.mark.parametrize("where", [Forward, Backward])
def test_a_later_part_that_does_not_fit_is_halved_alone(where: Where) -> None:
    full = Full(lambda call, rows: rows > 4 or (call >= 6 and rows > 2))
    found = train(Recovery(), model(where(full)), batches(2, rows=8))
    close(found, plain(model(Forward(never())), batches(2, rows=8)))
    # 8 twice, two parts of 4; then a part of 4, one that fails, again, and three of 2
    assert full.seen == [8, 8, 4, 4, 4, 4, 4, 2, 2]


def test_rows_that_do_not_divide_evenly_weigh_what_they_are() -> None:
    full = Full(lambda call, rows: rows > 3)
    found = train(Recovery(), model(Forward(full)), batches(4, rows=7))
    close(found, plain(model(Forward(never())), batches(4, rows=7)))
    assert full.seen[-4:] == [2, 2, 2, 1]


def test_large_gradients_that_were_half_written_begin_the_batch_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colab_guard.memory.undo.ASIDE_BYTES", 0)
    told: list[Any] = []
    full = Full(lambda call, rows: rows > 4 or (call == 4 and rows > 2))
    net = model(Backward(full))
    _, weights = train(Recovery(told.append), net, batches(3))
    _, wanted = plain(model(Forward(never())), batches(3))
    for name, tensor in wanted.items():
        assert torch.allclose(weights[name], tensor, atol=1e-5), name
    assert told[-1].did.endswith("from the batch's first row on")


def test_gradients_of_earlier_batches_that_were_half_written_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colab_guard.memory.undo.ASIDE_BYTES", 0)
    full = Full(lambda call, rows: call == 2)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        train(Recovery(), model(Backward(full)), batches(3), every=3)
    assert "cannot be put back without a snapshot" in raised.value.__notes__[0]


def test_an_optimizer_in_the_backward_pass_is_not_repeated() -> None:
    net = model(Backward(Full(lambda call, rows: True)))
    for parameter in net.parameters():
        parameter.register_post_accumulate_grad_hook(lambda p: None)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        train(Recovery(), net, batches(1))
    assert "cannot be put back" in raised.value.__notes__[0]


def test_running_averages_are_counted_once() -> None:
    full = Full(lambda call, rows: call == 3)
    found = train(Recovery(), model(Backward(full), norm=True), batches())
    wanted = plain(model(Forward(never()), norm=True), batches())
    assert all(torch.equal(found[1][name], tensor) for name, tensor in wanted[1].items())


class Counting(nn.Module):
    """A buffer that every forward pass changes, and memory that is full after it."""

    def __init__(self, full: Full) -> None:
        super().__init__()
        self.full = full
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        self.full(len(x))
        return x


def test_a_buffer_that_was_seen_to_change_is_put_back() -> None:
    found = train(Recovery(), model(Counting(Full(lambda call, rows: call == 3))), batches())
    assert found[1]["1.passes"] == 12


def test_a_buffer_that_was_not_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        train(Recovery(), model(Counting(Full(lambda call, rows: call == 1))), batches())


def test_nothing_left_to_try_is_the_error_itself_and_says_what_was_tried() -> None:
    full = Full(lambda call, rows: True)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        train(Recovery(), model(Forward(full)), batches(1))
    assert raised.value.__notes__ == ["colab_guard: out of GPU memory with at most 1 rows in one pass; nothing is left to try."]
    assert full.seen == [8, 8, 4, 2, 1]


def test_other_errors_pass_with_the_gradients_as_they_were() -> None:
    net = model(Forward(never()))
    nn.functional.cross_entropy(net(batches()[0]["x"]), batches()[0]["labels"]).backward()
    before = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    with pytest.raises(ZeroDivisionError):
        for micro in microbatches(Recovery(), batches()[0], net):
            with micro:
                _ = 1 / 0
    assert all(torch.equal(p.grad, kept) for p, kept in zip(net.parameters(), before, strict=True) if p.grad is not None)


def test_what_worked_is_known_for_the_next_model_of_that_shape_and_goes_through_json() -> None:
    recovery, changed = Recovery(), []
    train(recovery, model(Forward(Full(lambda call, rows: rows > 2))), batches(2))
    again = Recovery(changed=changed.append)
    again.adopt(recovery.to_json())
    full = Full(lambda call, rows: rows > 2)
    train(again, model(Forward(full)), batches(2))
    assert full.seen == [2] * 8
    assert changed[0] == "memory: at most 2 rows in one pass"


def test_narrower_rows_are_left_whole() -> None:
    net = nn.Sequential(nn.Embedding(10, 4), Forward(full := Full(lambda call, rows: False)))
    recovery = Recovery()

    def run(length: int) -> None:
        for micro in microbatches(recovery, torch.zeros(4, length, dtype=torch.long), net, loss="sum"):
            with micro as part:
                net(part).sum().backward()

    run(16)
    full.when = lambda call, rows: rows > 2
    run(16)
    full.when = lambda call, rows: False
    run(8)
    run(32)
    assert full.seen == [4, 4, 4, 2, 2, 4, 2, 2]


def test_memory_is_cleared_outside_the_except_block() -> None:
    import sys

    handled: list[Any] = []
    recovery = Recovery(clear=lambda: handled.append(sys.exc_info()[1]))
    train(recovery, model(Forward(Full(lambda call, rows: call == 1))), batches(1))
    assert handled == [None]


def test_a_chained_error_counts() -> None:
    net, tries = model(Forward(never())), []
    for micro in microbatches(Recovery(), batches()[0], net):
        with micro as part:
            tries.append(len(part["x"]))
            if len(tries) == 1:
                try:
                    raise out_of_memory()
                except RuntimeError as error:
                    raise ValueError("does not fit") from error
            (net(part["x"]).sum() * micro.weight).backward()
    assert tries == [8, 8]


class WithLoss(nn.Module):
    """Gives its loss, as transformers' models do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = model(Forward(Full(lambda call, rows: rows > 4)))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(loss=nn.functional.cross_entropy(self.net(x), labels))


def test_the_loop_of_the_readme_runs_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    loop = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "microbatches" in block)
    monkeypatch.setattr("colab_guard.session.plainwork.current", lambda: SimpleNamespace(recovery=Recovery()))
    net = WithLoss()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    exec(loop, {"loader": batches(4), "model": net, "optimizer": optimizer, "colab_guard": colab_guard})
    wanted = plain(model(Forward(never())), batches(4))[1]
    assert all(torch.allclose(net.net.state_dict()[name], tensor, atol=1e-5) for name, tensor in wanted.items())


BAD = {
    "no with": (lambda net: [None for _ in microbatches(Recovery(), batches()[0], net)], "with micro"),
    "no model": (lambda net: microbatches(Recovery(), batches()[0], None), "takes the model"),
    "a word": (lambda net: microbatches(Recovery(), batches()[0], net, loss="max"), "'mean' or 'sum'"),
    "a size": (lambda net: microbatches(Recovery(), batches()[0], net, size=0), "at least 1"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line(what: str) -> None:
    act, words = BAD[what]
    with pytest.raises(BadOption, match=words) as raised:
        act(model(Forward(never())))
    assert "\n" not in str(raised.value)


def test_a_weight_that_is_forgotten_is_said_before_it_matters() -> None:
    net = model(Forward(never()))
    with pytest.raises(BadOption, match="multiply the loss"):
        for micro in microbatches(Recovery(), batches()[0], net):
            with micro as part:
                net(part["x"]).sum().backward()


def test_sums_add_up_and_have_no_weight() -> None:
    net = model(Forward(Full(lambda call, rows: rows > 4)))
    for micro in microbatches(Recovery(), batches()[0], net, loss="sum"):
        with micro as part:
            net(part["x"]).sum().backward()
    other = model(Forward(never()))
    other(batches()[0]["x"]).sum().backward()
    pairs = zip(net.parameters(), other.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, atol=1e-5) for a, b in pairs if a.grad is not None and b.grad is not None)


class Encoding(UserDict):  # type: ignore[type-arg]
    """As transformers' BatchEncoding is one."""


SHAPES: dict[str, tuple[Any, int]] = {
    "tensor": (torch.arange(12).reshape(6, 2), 6),
    "dict": ({"x": torch.ones(5, 2), "scale": 2.0, "texts": list("abcde")}, 5),
    "encoding": (Encoding(x=torch.ones(5, 2)), 5),
    "pair": ((torch.ones(4, 2), torch.ones(4)), 4),
    "a mask for all": ({"x": torch.ones(4, 2), "mask": torch.ones(1, 1, 2)}, 4),
    "samples": (["a", "b", "c"], 3),
    "tensors that do not agree": ({"patches": torch.ones(100, 2), "x": torch.ones(4, 2)}, 1),
    "nothing to cut": ({"x": 3}, 1),
    "one number": (torch.ones(()), 1),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_every_kind_of_batch(shape: str) -> None:
    batch, rows = SHAPES[shape]
    assert rows_of(batch) == rows
    if rows > 1:
        part = cut(batch, rows, 1, 3)
        assert type(part) is type(batch) and rows_of(part) == 2
    assert cut(batch, rows, 0, rows) is batch


def test_only_what_has_rows_is_cut() -> None:
    part = cut(SHAPES["dict"][0], 5, 3, 5)
    assert part["scale"] == 2.0 and part["texts"] == ["d", "e"]
    assert cut(SHAPES["a mask for all"][0], 4, 0, 2)["mask"].shape == (1, 1, 2)
    assert width_of(SHAPES["pair"][0]) == 2


class TinyForCausalLM(nn.Module):
    """Its labels are shifted."""


def test_labels_that_are_ignored_do_not_weigh() -> None:
    labels = torch.tensor([[1, 2, -100, -100], [1, 2, 3, 4]])
    assert counted_by(nn.Linear(1, 1))({"x": labels, "labels": labels}) == 6
    assert counted_by(TinyForCausalLM())({"x": labels, "labels": labels}) == 4
    assert counted_by(nn.Linear(1, 1))({"x": labels, "labels": labels.float()}) == 2
