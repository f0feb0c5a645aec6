"""What cannot be kept is refused by its path where it is needed, and named where it is not."""

from __future__ import annotations

import json
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from colab_guard import state
from colab_guard.errors import CannotResume, SnapshotRefused
from colab_guard.state import Live, graph

LIVE = Live({}, {})


class FailsToReduce:
    def __reduce__(self) -> str:
        raise KeyError("no")


class ReducesToNothing:
    def __reduce__(self) -> str:
        return "nowhere"


def busy_executor() -> ThreadPoolExecutor:
    executor = ThreadPoolExecutor(1)
    executor.submit(time.sleep, 1)
    return executor


MAKERS: dict[str, Callable[[], Any]] = {
    "thread": threading.Thread,
    "executor with work in flight": busy_executor,
    "open temporary file": tempfile.NamedTemporaryFile,
    "socket": lambda: socket.socketpair()[0],
    "generator": lambda: (n for n in range(3)),
    "fails": FailsToReduce,
    "nowhere": ReducesToNothing,
}


@pytest.mark.parametrize("name", sorted(MAKERS))
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_it_is_refused_where_needed_and_a_placeholder_elsewhere(name: str) -> None:
    thing = MAKERS[name]()
    with pytest.raises(SnapshotRefused, match=r"^box\['deep'\]\[0\] "):
        state.capture({"names": {"box": {"deep": [thing]}}}, {"names": {}}, LIVE)
    got = state.capture({"names": {"ok": 1}}, {"names": {"box": {"deep": [thing], "n": 2}}}, LIVE)
    assert [p.path for p in got.placeholders] == ["box['deep'][0]"]
    _, kept = state.restore(got.parts, {}, LIVE)
    assert isinstance(kept["names"]["box"]["deep"][0], state.Placeholder) and kept["names"]["box"]["n"] == 2


def test_looking_at_a_graph_under_gradient_checkpointing_computes_nothing() -> None:
    calls = []

    def forward(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return (x * x).exp()

    weight = torch.ones(3, requires_grad=True)
    loss = checkpoint(forward, weight, use_reentrant=False).sum()
    with pytest.raises(SnapshotRefused, match=r"^loss .*backward pass is still to come"):
        state.capture({"names": {"loss": loss}}, {"names": {}}, LIVE)
    assert len(calls) == 1


def test_tensors_of_a_device_that_is_not_here_are_refused_by_its_name() -> None:
    got = state.capture({"names": {"t": torch.ones(2000)}}, {"names": {}}, LIVE)
    table = json.loads(got.parts["blocks"])
    table["groups"][0]["device"] = "cuda:7"
    parts = {**got.parts, "blocks": json.dumps(table).encode()}
    with pytest.raises(CannotResume, match="cuda:7, which this machine does not have"):
        state.restore(parts, {b.key: bytearray(b.data) for b in got.buffers}, LIVE)


def test_buffers_carry_names_and_shapes_for_people() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(40, 30))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 40)).sum().backward()
    optimizer.step()
    got = state.capture({"names": {"model": model, "optimizer": optimizer}}, {"names": {}}, LIVE)
    found = {b.label: (b.dtype, b.shape) for b in got.buffers}
    assert found["model.0.weight"] == ("float32", (30, 40))
    assert found["model.0.weight.grad"] == ("float32", (30, 40))
    assert found["optimizer.state[model.0.weight].exp_avg"] == ("float32", (30, 40))


def test_where_nothing_asks_for_gradients_a_live_graph_is_a_value_and_that_is_said_once() -> None:
    weight = torch.ones(2, requires_grad=True)
    losses = [(weight * number).sum() for number in range(3)]
    with pytest.raises(SnapshotRefused, match="backward pass is still to come"):
        state.capture({"names": {"losses": losses}}, {"names": {}}, LIVE)
    got = state.capture({"names": {"losses": losses}}, {"names": {}}, Live({}, {}, differentiates=False))
    assert [p.path for p in got.placeholders] == ["the autograd graph of tensors"]
    needed, _ = state.restore(got.parts, {}, LIVE)
    assert [float(loss) for loss in needed["names"]["losses"]] == [0.0, 2.0, 4.0]


class Shuffled(torch.utils.data.IterableDataset[int]):
    def __init__(self, own: bool) -> None:
        self.rng = random.Random(1) if own else None

    def __iter__(self) -> Iterator[int]:
        rng = self.rng or random.Random(1)
        return iter([rng.randrange(100) for _ in range(8)])


@pytest.mark.parametrize("own", [True, False])
def test_a_data_set_that_iterating_changes_is_refused_by_name_and_another_goes_on(own: bool) -> None:
    undo = state.track_dataloaders()
    try:
        batches = iter(torch.utils.data.DataLoader(Shuffled(own), batch_size=2))
        first = next(batches)
        if own:
            with pytest.raises(SnapshotRefused, match=r"Shuffled changes itself while it is iterated \(rng\)"):
                state.capture({"names": {"batches": batches}}, {"names": {}}, LIVE)
            return
        got = state.capture({"names": {"batches": batches, "first": first}}, {"names": {}}, LIVE)
        needed, _ = state.restore(got.parts, {b.key: bytearray(b.data) for b in got.buffers}, LIVE)
        assert [b.tolist() for b in needed["names"]["batches"]] == [b.tolist() for b in batches]
    finally:
        undo()


def test_an_id_that_cannot_be_put_right_is_named() -> None:
    thing = [1]
    names = {"thing": thing, "ids": frozenset({id(thing)}), "key": (id(names_of := {"a": 1}),), "of": names_of}
    captured = state.capture({"names": names}, {"names": {}}, LIVE)
    assert [(lost.path, lost.reason) for lost in captured.placeholders] == [
        ("an id() that is kept", "it is no object's id after a resume; use the object itself as the key (thing)")
    ]
    back, _ = state.restore(captured.parts, {b.key: bytearray(b.data) for b in captured.buffers}, LIVE)
    assert back["names"]["key"] == (id(back["names"]["of"]),)


class Round:
    """Its reduction asks for a method of the very object."""

    def __reduce__(self) -> Any:
        return Round, (self.__reduce__,)


def test_a_reduction_that_leads_back_to_its_own_object_is_refused_by_name_and_soon() -> None:
    names = {"box": [Round()]}
    with pytest.raises(SnapshotRefused, match=r"^box\[0\] \(Round\): what it is made from .* leads back to itself"):
        state.capture({"names": names}, {"names": {}}, LIVE)
    got = state.capture({"names": {}}, {"names": names}, LIVE)
    assert [lost.path for lost in got.placeholders] == ["box[0]"]


def test_a_loss_beside_a_deep_graph_is_named() -> None:
    chain: Any = None
    for number in range(2_000):
        chain = [(number, "a"), chain]
    got = state.capture({"names": {}}, {"names": {"chain": chain, "fails": FailsToReduce()}}, LIVE)
    assert [lost.path for lost in got.placeholders] == ["fails"]


class Deeper:
    def __reduce__(self) -> Any:
        return Deeper, (Deeper(),)


def test_what_is_too_deep_for_the_deep_stack_is_refused_and_not_tried_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    on_deep_stack = graph._on_deep_stack
    monkeypatch.setattr(graph, "DEEP_RECURSION", 5_000)
    monkeypatch.setattr(graph, "_on_deep_stack", lambda work: (tried.append(1), on_deep_stack(work))[1])
    split = state.Split()
    for _ in range(2):
        with pytest.raises(SnapshotRefused, match="leads on from object to object without end"):
            state.capture({"names": {"deeper": Deeper()}}, {"names": {}}, LIVE, split)
    assert tried == [1]
