"""Torch objects come back with the same bits and the same aliases."""

from __future__ import annotations

import copy
import random
import struct
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

from colab_guard import state
from colab_guard.errors import SnapshotRefused
from colab_guard.state import Live, training_objects
from tests.state.snapshot import there_and_back


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride() and torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (40, 50)])
def test_tensors_of_every_kind_come_back(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.rand(shape) * 10).to(dtype)
    assert same(there_and_back(t=tensor)["t"], tensor)


def test_views_go_on_sharing_their_storage() -> None:
    base = torch.arange(2000.0).reshape(40, 50)
    back = there_and_back(base=base, row=base[3], column=base[:, 7], turned=base.t())
    back["base"].mul_(2)
    assert same(back["row"], base[3] * 2)
    assert torch.equal(back["column"], base[:, 7] * 2)
    assert torch.equal(back["turned"], base.t() * 2)


@pytest.mark.parametrize("first", ["array", "tensor"])
def test_numpy_and_torch_go_on_sharing_memory(first: str) -> None:
    array = np.arange(1000.0)
    tensor = torch.from_numpy(array)
    names = {"array": array, "tensor": tensor, "view": array[10:20], "again": tensor.numpy()[5:]}
    order = sorted(names, reverse=first == "tensor")
    back = there_and_back(**{name: names[name] for name in order})
    back["tensor"][12] = -1
    assert back["array"][12] == back["view"][2] == back["again"][7] == -1


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_training_goes_on_with_the_same_bits(make: Any) -> None:
    def build() -> tuple[Any, Any, Any]:
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Linear(8, 30), torch.nn.Dropout(0.3), torch.nn.Linear(30, 2))
        optimizer = make(model.parameters(), lr=0.1)
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2)

    def steps(model: Any, optimizer: Any, scheduler: Any, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            model(torch.randn(4, 8)).square().mean().backward()
            optimizer.step()
            scheduler.step()

    whole = build()
    steps(*whole, 6)
    want = copy.deepcopy(whole[0].state_dict())
    parts = build()
    steps(*parts, 3)
    back = there_and_back(model=parts[0], optimizer=parts[1], scheduler=parts[2], random=state.random_state())
    torch.manual_seed(99)
    state.set_random_state(back["random"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps(back["model"], back["optimizer"], back["scheduler"], 3)
    assert all(same(back["model"].state_dict()[name], value) for name, value in want.items())
    held = {id(p) for group in back["optimizer"].param_groups for p in group["params"]}
    assert held == {id(p) for p in back["model"].parameters()}


def test_random_state_of_an_older_snapshot_has_its_numbers_one_by_one() -> None:
    random.seed(5)
    random.gauss(0, 1)  # and has another one ready
    before = state.random_state()
    want = [random.random(), random.gauss(0, 1)]
    for python in (before["python"], (3, struct.unpack("<625I", before["python"][1]), before["python"][2])):
        random.seed(0)
        state.set_random_state({**before, "python": python})
        assert [random.random(), random.gauss(0, 1)] == want


def test_tied_weights_gradients_hooks_and_attributes_stay() -> None:
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(30, 40), "b": torch.nn.Linear(30, 40)})
    model["b"].weight = model["a"].weight
    calls: list[int] = []
    model["a"].weight.register_hook(_double)
    model["a"].weight.note = "mine"
    model["a"](torch.ones(1, 30)).sum().backward()
    back = there_and_back(model=model, calls=calls)["model"]
    assert back["a"].weight is back["b"].weight
    assert same(back["a"].weight.grad, model["a"].weight.grad)
    assert back["a"].weight.note == "mine"
    before = back["a"].weight.grad.clone()
    back["a"](torch.ones(1, 30)).sum().backward()
    assert torch.equal(back["a"].weight.grad, before + 2)


def _double(gradient: torch.Tensor) -> torch.Tensor:
    return gradient * 2


def test_a_live_graph_that_code_to_come_needs_refuses_the_snapshot_by_name() -> None:
    weight = torch.ones(3, requires_grad=True)
    loss = (weight * weight).sum()
    with pytest.raises(state.SnapshotRefused, match=r"^loss .*backward pass is still to come"):
        there_and_back(weight=weight, loss=loss)


def test_a_live_graph_that_nothing_reads_again_is_named() -> None:
    weight = torch.ones(3, requires_grad=True)
    loss = (weight * weight).sum()
    captured = state.capture({"names": {"weight": weight}}, {"names": {"loss": loss}}, Live({}, {}))
    assert [p.path for p in captured.placeholders] == ["loss"]


def test_a_spent_graph_is_a_plain_value() -> None:
    weight = torch.ones(3, requires_grad=True)
    loss = (weight * weight).sum()
    loss.backward()
    back = there_and_back(loss=loss)["loss"]
    assert back.item() == 3.0 and not back.requires_grad


def test_generators_go_on_where_they_were() -> None:
    torch_generator, numpy_generator = torch.Generator().manual_seed(5), np.random.default_rng(5)
    torch.rand(3, generator=torch_generator)
    numpy_generator.random(3)
    back = there_and_back(t=torch_generator, n=numpy_generator)
    assert torch.equal(torch.rand(4, generator=back["t"]), torch.rand(4, generator=torch_generator))
    assert (back["n"].random(4) == numpy_generator.random(4)).all()


def test_a_peft_model_comes_back_and_trains_on_with_the_same_bits() -> None:
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    model = transformers.BertForMaskedLM(config)
    model = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["query", "value"]))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    ids = torch.randint(0, 50, (2, 7))

    def step(model: Any, optimizer: Any) -> float:
        torch.manual_seed(1)
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    step(model, optimizer)
    back = there_and_back(model=model, optimizer=optimizer)
    tied = back["model"].get_base_model()
    assert tied.cls.predictions.decoder.weight is tied.bert.embeddings.word_embeddings.weight
    assert [step(model, optimizer) for _ in range(2)] == [step(back["model"], back["optimizer"]) for _ in range(2)]
    assert all(same(a, b) for a, b in zip(model.parameters(), back["model"].parameters(), strict=True))


class Noisy(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.rand(2) + index


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("own_generator", [False, True])
def test_a_dataloader_iterator_comes_back_in_its_place(workers: int, own_generator: bool) -> None:
    def loader() -> Any:
        generator = torch.Generator().manual_seed(4) if own_generator else None
        return torch.utils.data.DataLoader(Noisy(), 2, shuffle=True, num_workers=workers, generator=generator)

    undo = state.track_dataloaders()
    try:
        torch.manual_seed(1)
        want = [batch.clone() for batch in loader()]
        torch.manual_seed(1)
        iterator = iter(loader())
        got = [next(iterator).clone() for _ in range(3)]
        back = there_and_back(iterator=iterator, random=state.random_state())
        del iterator
        torch.manual_seed(77)
        state.set_random_state(back["random"])
        got += [batch.clone() for batch in back["iterator"]]
    finally:
        undo()
    assert len(got) == len(want)
    assert all(same(a, b) for a, b in zip(got, want, strict=True))


def test_sharing_is_noticed_by_object_and_by_memory() -> None:
    model = torch.nn.Linear(3, 3)
    captured = state.capture({"names": {"model": model}}, {"names": {}}, Live({}, {}))
    assert captured.shares([model.weight])
    assert captured.shares(model.weight.detach().numpy()[1:])
    assert not captured.shares([torch.nn.Linear(3, 3), torch.float32])


def test_handles_whose_module_is_gone_come_back_and_remove_nothing() -> None:
    layer, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    dead, alive = layer.register_forward_hook(print, with_kwargs=True), other.register_forward_hook(print, with_kwargs=True)
    del layer
    back = there_and_back(dead=dead, alive=alive, other=other)
    back["dead"].remove()
    assert len(back["other"]._forward_hooks) == len(back["other"]._forward_hooks_with_kwargs) == 1
    back["alive"].remove()
    assert not back["other"]._forward_hooks and not back["other"]._forward_hooks_with_kwargs


def test_a_gradient_that_no_longer_fits_is_refused_in_words() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.sum().backward()
    weight.data = torch.ones(5)
    with pytest.raises(SnapshotRefused, match=r"weight .*its gradient is of another shape.*\.grad = None"):
        there_and_back(weight=weight)


def test_memory_that_was_freed_under_a_tensor_stays_free() -> None:
    weight = torch.ones(300)
    weight.untyped_storage().resize_(0)
    back = there_and_back(weight=weight)["weight"]
    assert back.shape == (300,) and back.untyped_storage().nbytes() == 0


def test_modules_of_older_snapshots_come_back() -> None:
    """Their hooks alone were left out, and everything else was there."""
    layer = torch.nn.Linear(3, 2)
    attributes = vars(layer)
    hooks = frozenset(name for name, value in attributes.items() if type(value) is OrderedDict)
    others = tuple(value for name, value in attributes.items() if name not in hooks)
    back = torch.nn.Linear.__new__(torch.nn.Linear)
    training_objects.set_module(back, (tuple(attributes), hooks, others))
    assert list(vars(back)) == list(attributes) and back.weight is layer.weight
    assert all(type(vars(back)[name]) is OrderedDict and not vars(back)[name] for name in hooks)


def test_a_modules_hooks_come_back_with_all_they_hold() -> None:
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 3))
    seen = layer.register_load_state_dict_pre_hook(print)
    back = there_and_back(layer=layer)["layer"]
    for own, other in zip(layer._load_state_dict_pre_hooks.values(), back._load_state_dict_pre_hooks.values(), strict=True):
        assert list(vars(own)) == list(vars(other)) and "__wrapped__" in vars(own)
        assert other.__wrapped__ is other.hook and (other.module() is back if own.with_module else True)
    seen.remove()
