"""accelerate's objects come back as views of the process's own state, around what they wrapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import accelerate
import pytest
import torch

from colab_guard import state
from colab_guard.errors import CannotResume, SnapshotRefused
from colab_guard.state import Live
from colab_guard.training import default_loops, reducers

default_loops()  # tells `state` how


def prepared() -> dict[str, Any]:
    torch.manual_seed(0)
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    loader = torch.utils.data.DataLoader(torch.arange(24.0).view(8, 3), batch_size=2, shuffle=True)
    made = accelerator.prepare(model, optimizer, loader, scheduler)
    names = dict(zip(("model", "optimizer", "loader", "scheduler"), made, strict=True))
    return {**names, "accelerator": accelerator, "plain": optimizer, "weight": model.weight}


def train(names: dict[str, Any]) -> list[float]:
    losses = []
    for batch in names["loader"]:
        with names["accelerator"].accumulate(names["model"]):
            loss = names["model"](batch).pow(2).mean()
            names["accelerator"].backward(loss)
            names["optimizer"].step()
            names["scheduler"].step()
            names["optimizer"].zero_grad()
        losses.append(loss.item())
    return losses


def back(names: dict[str, Any]) -> dict[str, Any]:
    captured = state.capture({"names": names}, {"names": {}}, Live({}, {}))
    found: dict[str, Any] = state.restore(captured.parts, {b.key: bytearray(b.data) for b in captured.buffers}, Live({}, {}))[0]["names"]
    return found


def test_a_loop_goes_on_with_what_came_back() -> None:
    names = prepared()
    train(names)
    again, random = back(names), torch.get_rng_state()
    assert again["optimizer"].optimizer is again["plain"] and again["accelerator"]._optimizers[0] is again["optimizer"]
    assert again["weight"] is again["model"].weight and again["plain"].param_groups[0]["params"][0] is again["weight"]
    assert again["accelerator"].gradient_state._shared_state is names["accelerator"].gradient_state._shared_state
    wanted = train(names)
    torch.set_rng_state(random)
    assert train(again) == wanted
    assert torch.equal(again["weight"], names["weight"])


def test_a_step_is_not_hooked_by_coming_back() -> None:
    # torch's wrapper of `step` runs hooks that this class has no attributes for
    names = back(prepared())
    assert not getattr(type(names["optimizer"]).step, "hooked", False)


def test_a_scaled_optimizers_steps_are_bound_to_the_one_that_came_back() -> None:
    names = prepared()
    scaler: Any = torch.amp.GradScaler("cpu")
    wrapper: Any = accelerate.optimizer.AcceleratedOptimizer(names["plain"], scaler=scaler)
    again = back({"wrapper": wrapper, "plain": names["plain"], "scaler": scaler})
    assert again["wrapper"].scaler is again["scaler"]
    assert again["wrapper"]._optimizer_original_step_method is again["plain"].step
    again["wrapper"]._optimizer_patched_step_method()
    assert again["wrapper"]._accelerate_step_called and not wrapper._accelerate_step_called


def test_a_trainers_accelerator_under_a_name_of_its_own_is_refused_by_name() -> None:
    class Owner:
        accelerator = None

    owner: Any = Owner()
    owner.accelerator = accelerate.Accelerator(cpu=True)
    reducers.note_owned(owner)
    with pytest.raises(SnapshotRefused, match=r"^mine \(Accelerator\): .*reach it as `trainer.accelerator`"):
        back({"mine": owner.accelerator})


@pytest.fixture
def fresh_accelerate() -> Iterator[Callable[[], None]]:
    """Puts accelerate back to as it is in a new kernel, also at the end."""
    kinds = accelerate.state.AcceleratorState, accelerate.state.GradientState, accelerate.state.PartialState

    def reset() -> None:
        for kind in kinds:
            kind._reset_state()

    reset()
    yield reset
    reset()


def test_an_accelerator_comes_back_where_accelerate_computes_as_it_did_and_nowhere_else(fresh_accelerate: Callable[[], None]) -> None:
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=4)
    captured = state.capture({"names": {"mine": accelerator}}, {"names": {}}, Live({}, {}))

    def again() -> Any:
        return state.restore(captured.parts, {b.key: bytearray(b.data) for b in captured.buffers}, Live({}, {}))[0]["names"]["mine"]

    assert again().mixed_precision == "bf16"
    fresh_accelerate()
    assert (again().mixed_precision, again().gradient_accumulation_steps) == ("bf16", 4)
    fresh_accelerate()
    accelerate.Accelerator(cpu=True)
    with pytest.raises(CannotResume, match=r"with mixed_precision='bf16', and accelerate is set up with 'no' in this kernel.*restart the kernel"):
        again()
