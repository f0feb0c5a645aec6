"""Who holds memory, in words; and what the libraries' own lists keep of what is dead."""

from __future__ import annotations

import gc
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from colab_guard.memory import forget, reclaim
from colab_guard.memory.reclaim.errors import clear_exceptions
from colab_guard.memory.reclaim.heavy import held, reaches_heavy
from colab_guard.memory.reclaim.holders import holders

MIB = 2**20


class Shell:
    """Only what names are asked of."""

    def __init__(self, **names: Any) -> None:
        self.user_ns = names


class Box:
    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)


def big(mib: int = 80) -> torch.Tensor:
    return torch.zeros(mib * MIB // 4)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    gc.collect()
    yield
    gc.collect()


def test_a_holder_is_told_by_the_way_to_what_it_holds() -> None:
    shell = Shell(trainer=Box(state=1, model=Box(weights=big())), seen=[1, 2, {"logits": big()}], small=big(2))
    assert set(holders(shell)) == {"trainer.model.weights (80 MiB)", "seen[2]['logits'] (80 MiB)"}


def test_what_two_names_hold_counts_for_the_first_and_the_rest_for_the_second() -> None:
    model = torch.nn.Linear(4096, 5120, bias=False)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 4096)).sum().backward()
    optimizer.step()
    told = holders(Shell(model=model, optimizer=optimizer, again=model))
    assert told == ("model (160 MiB)", "optimizer (160 MiB)") or told == ("optimizer (160 MiB)", "model (160 MiB)")


def test_closures_and_waiting_generators_are_looked_into() -> None:
    kept = big()

    def closes_over() -> int:
        return kept.numel()

    def waits() -> Iterator[int]:
        own = big(90)
        yield own.numel()

    generator = waits()
    next(generator)
    told = holders(Shell(f=closes_over, g=generator))
    assert told[0].startswith("g (a variable of") and told[0].endswith("(90 MiB)") and "f (what it closes over) (80 MiB)" in told


def test_a_tensor_that_no_name_leads_to_is_told_by_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("their_library")
    module.__dict__["__builtins__"] = {}
    module.CACHE = {"last": [big()]}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "their_library", module)
    assert holders(Shell()) == ("their_library.CACHE (80 MiB)",)


def test_a_tensor_in_the_frame_of_an_error_that_is_put_by_is_freed_and_the_error_stays() -> None:
    seen: list[weakref.ref[Any]] = []

    def fail() -> None:
        mine = big(2)
        seen.append(weakref.ref(mine))
        raise ExceptionGroup("several", [ValueError("inner")])

    errors = []
    try:
        fail()
    except ExceptionGroup as error:
        errors.append(error)
    assert seen[0]() is not None
    clear_exceptions(everywhere=True)
    assert seen[0]() is None and errors[0].__traceback__ is not None


def test_a_generator_that_goes_on_after_an_error_inside_it_is_not_ended() -> None:
    def careful() -> Iterator[object]:
        total = 0
        while True:
            try:
                raise ValueError(total)
            except ValueError as error:
                total += 1
                yield error

    generator = careful()
    kept = next(generator)
    clear_exceptions(everywhere=True)
    assert isinstance(kept, ValueError) and str(next(generator)) == "1"


def test_an_accelerator_of_many_models_lets_go_of_the_dead_and_keeps_the_living_in_their_order() -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    first, dead, last = (torch.nn.Linear(2, 2) for _ in range(3))
    for model in (first, dead, last):
        accelerator.prepare(model)
    gone = weakref.ref(dead)
    del dead, model
    reclaim()
    assert gone() is None
    assert accelerator._models == [first, last]


def test_names_that_the_next_model_binds_are_let_go_if_they_hold_much() -> None:
    names = {"model": torch.nn.Linear(4096, 5120), "loss": torch.ones(1), "rank": 4}
    assert forget(names, ["model", "loss", "rank", "unbound"]) == ("loss", "model")
    assert names == {"rank": 4}
    small: dict[str, Any] = {"model": torch.nn.Linear(2, 2)}
    assert forget(small, ["model"]) == () and "model" in small


def test_bytes_behind_views_and_gradients_are_counted_once() -> None:
    base = big(4).requires_grad_()
    base.sum().backward()
    assert held([base, base.detach().view(-1, 2), [base.grad]]) == 8 * MIB
    assert not reaches_heavy(["text", {"a": 1}, torch])


def test_under_the_baseline_nobody_is_looked_for() -> None:
    shell = Shell(data=big())
    from colab_guard.hosts import SystemProbe
    from colab_guard.memory import figures

    here = figures(SystemProbe())
    shell.user_ns_hidden, shell.displayhook = {}, None  # type: ignore[attr-defined]
    assert reclaim(shell, baseline=here).holders == ()
    assert reclaim(shell).holders == ("data (80 MiB)",)


def test_each_kind_of_device_gives_back_its_cache_and_those_not_in_use_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from colab_guard.memory.reclaim.caches import empty_caches

    asked: list[str] = []

    def device(name: str, **states: Any) -> Any:
        return types.SimpleNamespace(empty_cache=lambda: asked.append(name), **{k: (lambda v=v: v) for k, v in states.items()})

    def fake(in_use: bool) -> Any:
        return types.SimpleNamespace(
            cuda=device("cuda", is_available=True, is_initialized=in_use),
            xpu=device("xpu", is_initialized=in_use),
            mps=device("mps", driver_allocated_memory=4096 if in_use else 0),
            backends=types.SimpleNamespace(mps=device("", is_available=True)),
            _C=types.SimpleNamespace(_cuda_clearCublasWorkspaces=lambda: asked.append("workspaces")),
        )

    monkeypatch.setitem(sys.modules, "torch", fake(False))
    empty_caches()
    assert asked == []
    monkeypatch.setitem(sys.modules, "torch", fake(True))
    empty_caches()
    assert asked == ["workspaces", "cuda", "xpu", "mps"]


def test_a_scheduler_that_is_left_to_the_accelerator_stays_while_its_model_lives() -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    accelerator.prepare(model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1))
    reclaim()
    assert len(accelerator._models) == len(accelerator._schedulers) == len(accelerator._optimizers) == 1
    gone = [weakref.ref(model), weakref.ref(optimizer)]
    del model, optimizer
    reclaim()
    assert [ref() for ref in gone] == [None, None] and accelerator._schedulers == []


def test_variables_that_somebody_keeps_by_locals_stay_when_the_frame_is_cleared() -> None:
    kept: list[dict[str, Any]] = []
    seen: list[weakref.ref[Any]] = []

    def fail(keep: bool) -> None:
        mine = big(2)
        seen.append(weakref.ref(mine))
        if keep:
            kept.append(locals())
        else:
            locals()
        raise ValueError("here")

    errors = []
    for keep in (True, False):
        try:
            fail(keep)
        except ValueError as error:
            errors.append(error)
    clear_exceptions(everywhere=True)
    assert kept[0]["mine"] is seen[0]() is not None
    assert seen[1]() is None
