"""A graph captured in segments, of which some were captured earlier, is the graph as it is now."""

from __future__ import annotations

import collections
import math
import random
import struct
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from colab_guard import state
from colab_guard.state import Live, Split, pointers
from colab_guard.state.split import RESTLESS
from colab_guard.state.things import attributes_of_ordered

LIVE = Live({}, {})


class Config:
    """Stands for a library's configuration object in a module's attributes."""

    def __init__(self) -> None:
        self.rate, self.layers, self.words = 0.1, [1, 2, 3], {"a": None, "b": True}


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.config = Config()
        self.embed = torch.nn.Embedding(7, 4)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(3))
        self.norm = torch.nn.BatchNorm1d(4)
        self.head = torch.nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
        self.act = torch.nn.functional.relu
        self.register_buffer("mask", torch.ones(4))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        for layer in self.layers:
            x = self.act(layer(x))
        return self.head(self.norm(x * self.mask))


def hook(module: Any, args: Any, output: Any) -> None:
    """A hook that travels by its name."""


def started() -> dict[str, Any]:
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    names: dict[str, Any] = {
        "model": model,
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3),
        "losses": [],
        "part": model.layers[1],
        "weights": [layer.weight for layer in model.layers],
        "view": model.layers[0].weight.detach().numpy(),
        "config": model.config,
        "modules": model._modules,
    }
    train(names)
    return names


def train(n: dict[str, Any]) -> None:
    n["model"](torch.arange(7)).square().mean().backward()
    n["optimizer"].step()
    n["optimizer"].zero_grad()


def new_parameter(n: dict[str, Any]) -> None:
    n["model"].layers[2].weight = torch.nn.Parameter(torch.full((4, 4), 0.5))


def swap_layers(n: dict[str, Any]) -> None:
    layers = n["model"].layers
    layers[0], layers[1] = layers[1], layers[0]


def with_gradients(n: dict[str, Any]) -> None:
    n["model"](torch.arange(7)).sum().backward()


def tie(n: dict[str, Any]) -> None:
    n["model"].layers[0].weight = n["model"].layers[1].weight


def share_memory(n: dict[str, Any]) -> None:
    n["model"].layers[1].weight.data = n["model"].layers[0].weight.data


Mutation = Callable[[dict[str, Any]], Any]
MUTATIONS: dict[str, Mutation] = {
    "a step": train,
    "a step of the scheduler": lambda n: n["scheduler"].step(),
    "an attribute set": lambda n: setattr(n["model"], "note", random.random()),
    "an attribute of a layer": lambda n: setattr(n["model"].layers[0], "note", [1, {"x": 2.5}]),
    "an attribute changed in the configuration": lambda n: setattr(n["model"].config, "rate", -n["model"].config.rate),
    "zero becomes minus zero": lambda n: setattr(n["config"], "rate", math.copysign(0.0, -1 if n["config"].rate == 0 else 1)),
    "one becomes true": lambda n: setattr(n["config"], "rate", True if n["config"].rate == 1 else 1),
    "an item in the middle of a list": lambda n: n["config"].layers.insert(1, 9),
    "an item replaced": lambda n: n["config"].words.__setitem__("a", "x"),
    "an attribute deleted": lambda n: n["config"].__dict__.pop("words", None),
    "a list shared with another name": lambda n: setattr(n["config"], "losses", n["losses"]),
    "in place": lambda n: n["model"].mask.mul_(2.0),
    "by .data": lambda n: setattr(n["model"].layers[0].weight, "data", torch.randn(4, 4)),
    "by .data of another shape": lambda n: setattr(n["model"].mask, "data", torch.ones(1, 4)[0]),
    "through numpy": lambda n: n["view"].fill(0.25),
    "a hook": lambda n: n["model"].register_forward_hook(hook),
    "a hook of a layer": lambda n: n["model"].layers[0].register_forward_hook(hook),
    "eval": lambda n: n["model"].eval(),
    "train": lambda n: n["model"].train(),
    "frozen": lambda n: n["model"].layers[0].requires_grad_(not n["model"].layers[0].weight.requires_grad),
    "a parameter replaced": new_parameter,
    "a buffer registered": lambda n: n["model"].register_buffer(f"b{len(n['model']._buffers)}", torch.zeros(3)),
    "a buffer that does not persist": lambda n: n["model"].register_buffer("mask", torch.ones(4), persistent=False),
    "gradients": with_gradients,
    "a gradient set to none": lambda n: setattr(n["model"].head.weight, "grad", None),
    "gradients zeroed in place": lambda n: n["optimizer"].zero_grad(set_to_none=False),
    "a module appended": lambda n: n["model"].layers.append(torch.nn.Linear(4, 4)),
    "layers exchanged": swap_layers,
    "weights tied": tie,
    "memory shared": share_memory,
    "a param group changed": lambda n: n["optimizer"].param_groups[0].update(lr=random.random()),
    "a param group added": lambda n: n["optimizer"].add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]}),
    "the optimizer's state cleared": lambda n: n["optimizer"].state.clear(),
    "another optimizer": lambda n: n.update(optimizer=torch.optim.SGD(n["model"].parameters(), 0.1, momentum=0.9)),
    "another model": lambda n: n.update(model=Net()),
    "a name deleted": lambda n: n.pop("part", None),
    "a list grows": lambda n: n["losses"].append(random.random()),
    "a tensor's attribute": lambda n: setattr(n["model"].head.weight, "note", len(n["losses"])),
    "another dtype": lambda n: n["model"].norm.double() if n["model"].norm.weight.dtype == torch.float32 else n["model"].norm.float(),
    "a class exchanged": lambda n: setattr(n["model"].layers[0], "__class__", torch.nn.modules.linear.NonDynamicallyQuantizableLinear),
    "an order changed": lambda n: n["model"]._modules.update(head=n["model"]._modules.pop("head")),
}


HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")


def same(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Walk both graphs in step; every object has exactly one counterpart, of equal value."""
    forth: dict[int, Any] = {}
    back: dict[int, Any] = {}
    memory: dict[int, int] = {}
    todo: list[tuple[Any, Any, str]] = [(old, new, "")]
    while todo:
        a, b, path = todo.pop()
        assert type(a) is type(b), path
        if isinstance(a, types.FunctionType):
            assert a.__qualname__ == b.__qualname__, path
            continue
        if isinstance(a, (int, str, type(None), types.BuiltinFunctionType, type, torch.dtype)):
            assert a == b, path
            continue
        if isinstance(a, float):
            assert a.hex() == b.hex(), path
            continue
        if id(a) in forth or id(b) in back:
            assert forth.get(id(a)) is b and back.get(id(b)) is a, path
            continue
        forth[id(a)], back[id(b)] = b, a
        if isinstance(a, (np.ndarray, torch.Tensor)):
            assert np.asarray(a.data).tobytes() == np.asarray(b.data).tobytes(), path
            assert memory.setdefault(address(a), address(b)) == address(b), path
        if isinstance(a, torch.Tensor):
            assert (a.requires_grad, a.dtype, a.shape, a.stride()) == (b.requires_grad, b.dtype, b.shape, b.stride()), path
            todo += [(a.grad, b.grad, f"{path}.grad"), (a.__dict__, b.__dict__, path)]
            todo += [(getattr(a, name) or None, getattr(b, name) or None, f"{path}.{name}") for name in HOOKS]
        elif isinstance(a, (list, tuple)):
            assert len(a) == len(b), path
            todo += [(x, y, f"{path}[{k}]") for k, (x, y) in enumerate(zip(a, b, strict=True))]
        elif isinstance(a, weakref.ref):
            todo.append((a(), b(), f"{path}()"))
        elif isinstance(a, dict):
            assert len(a) == len(b) and attributes_of_ordered(a) == attributes_of_ordered(b), path  # asked without giving any
            for (k, x), (m, y) in zip(a.items(), b.items(), strict=True):
                todo += [(k, m, f"{path} key"), (x, y, f"{path}.{k if isinstance(k, str) else '?'}")]
        elif isinstance(a, set):
            assert a == b, path
        elif hasattr(a, "__dict__") and not isinstance(a, types.MethodType):
            assert vars(a).keys() == vars(b).keys(), path
            todo += [(vars(a)[key], vars(b)[key], f"{path}.{key}") for key in vars(a)]


def address(thing: Any) -> int:
    if isinstance(thing, np.ndarray):
        return int(thing.__array_interface__["data"][0])
    return thing.untyped_storage().data_ptr() if thing.numel() else id(thing)


def restored(got: state.Captured) -> dict[str, Any]:
    names: dict[str, Any] = state.restore(got.parts, {b.key: bytearray(b.data) for b in got.buffers}, LIVE)[0]["names"]
    return names


def check(names: dict[str, Any], split: Split, *, shares: bool = False) -> state.Captured:
    got = state.capture({"names": names}, {"names": {}}, LIVE, split, shares=shares)
    same(names, restored(got))
    return got


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_change_between_two_captures_is_in_the_second(name: str) -> None:
    names, split = started(), Split()
    check(names, split)
    check(names, split)
    for _ in range(2):
        MUTATIONS[name](names)
        check(names, split)


@pytest.mark.parametrize("seed", range(30))
def test_random_changes_between_many_captures_are_in_each(seed: int) -> None:
    dice = random.Random(seed)
    random.seed(seed)
    names, split = started(), Split()
    for _ in range(12):
        for _ in range(dice.randrange(3)):
            try:
                MUTATIONS[dice.choice(list(MUTATIONS))](names)
            except (AttributeError, KeyError, RuntimeError, ValueError, TypeError):
                pass  # not every change is possible after every other
        check(names, split)


def test_a_step_leaves_the_pickles_of_model_and_state_as_they_were() -> None:
    names, split = started(), Split()
    first = check(names, split)
    train(names)
    names["losses"].append(0.5)
    second = check(names, split)
    assert split.reused == 2
    segments = [part for part in first.parts if part.startswith("graph-")]
    assert len(segments) == 2
    assert all(first.parts[part] is second.parts[part] for part in segments)
    assert len(second.parts["graph"]) < sum(len(second.parts[part]) for part in segments) / 2


def test_labels_of_buffers_stay_when_a_segment_is_used_again() -> None:
    names, split = started(), Split()
    first, second = check(names, split), check(names, split)
    assert {b.label for b in first.buffers} == {b.label for b in second.buffers}


def test_a_model_that_changes_every_time_is_no_segment_any_more() -> None:
    names, split = started(), Split()
    for number in range(RESTLESS + 2):
        names["model"].note = number
        check(names, split)
    assert "model" not in [segment.name for segment in split.segments]
    train(names)
    check(names, split)


def test_a_model_with_what_cannot_be_looked_at_is_captured_whole() -> None:
    names, split = started(), Split()
    names["model"].seen = collections.deque([1, 2])
    check(names, split)
    assert all(segment.name != "model" for segment in split.segments)
    names["model"].seen.append(3)
    check(names, split)


def test_a_snapshot_in_one_part_still_opens() -> None:
    names = started()
    same(names, restored(state.capture({"names": names}, {"names": {}}, LIVE)))


def test_nothing_of_the_user_is_held_between_captures() -> None:
    import gc
    import weakref

    names, split = started(), Split()
    check(names, split)
    reference = weakref.ref(names["model"].layers[0].weight)
    names.clear()
    gc.collect()
    assert reference() is None


def test_what_shares_memory_with_a_segment_is_known() -> None:
    names, split = started(), Split()
    view = names.pop("view")
    check(names, split)
    got = check(names, split, shares=True)
    assert split.reused == 2
    assert got.shares(view)
    assert got.shares([names["model"].layers[0]])
    assert not got.shares([1, 2])


def test_memory_that_is_shared_in_another_way_is_told_apart() -> None:
    # the same four blocks by size and kind, at other distances from each other
    memory = np.arange(4000, dtype=np.float64)
    split = Split()
    for distance in (100, 100, 300, 2000):
        names = {"low": memory[:1000], "high": memory[distance : distance + 1000], "torch": torch.from_numpy(memory[distance : distance + 1000])}
        captured = state.capture({"names": names}, {"names": {}}, LIVE, split)
        back = restored(captured)
        assert np.array_equal(back["low"], memory[:1000])
        assert np.array_equal(back["high"], memory[distance : distance + 1000])
        back["high"][0] = -1.0
        assert float(back["torch"][0]) == -1.0
        assert (back["low"][distance : distance + 1] == -1.0).all()


def test_addresses_at_once_are_the_addresses() -> None:
    things = (object(), 1, "x", None, [], [], torch.ones(1))
    assert pointers.addresses_of(things) == struct.pack("7P", *map(id, things)) == pointers._one_by_one(things)
    assert pointers.addresses_of(()) == b""
