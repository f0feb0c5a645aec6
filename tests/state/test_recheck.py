"""What is not walked again is proved to be what it was: changes of all kinds after which a recheck must not hold, or must."""

from __future__ import annotations

import argparse
import gc
import operator
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from colab_guard import state
from colab_guard.state import Split, levels, likeness, reducers, words
from colab_guard.state import split as splits
from colab_guard.state.look import Look
from colab_guard.state.pointers import is_among
from tests.state.test_split import LIVE, MUTATIONS, Config, Net, check, hook, restored, started, train


class Looks:
    """Counts the nodes that looks walk, other than those that a recheck tells them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.walked = 0
        plain = Look.feed

        def feed(look: Look, thing: Any) -> None:
            self.walked += 1
            plain(look, thing)

        monkeypatch.setattr(Look, "feed", feed)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


@pytest.fixture(autouse=True, params=["told by words", "looked at one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of telling what containers and tensors are: where this Python and this torch have the first, and without."""
    if request.param == "looked at one by one":
        monkeypatch.setattr(words, "_KNOWN", False)
        monkeypatch.setattr(likeness, "_notices", lambda torch: False)


def prepared() -> tuple[dict[str, Any], Split]:
    """Names that were captured so often that the next capture rechecks them."""
    names, split = started(), Split()
    for _ in range(3):
        train(names)
        check(names, split)
    assert split.reused == 2 and all(segment.recheck is not None for segment in split.segments)
    return names, split


def test_after_a_step_nothing_is_walked(looks: Looks) -> None:
    names, split = prepared()
    looks.walked = 0
    train(names)
    names["losses"].append(0.25)
    check(names, split)
    assert looks.walked == 0 and split.reused == 2


def test_gradients_that_are_new_objects_each_time_are_no_change(looks: Looks) -> None:
    names, split = started(), Split()

    def backward() -> None:
        names["optimizer"].zero_grad()
        names["model"](torch.arange(7)).sum().backward()

    for _ in range(3):
        backward()
        check(names, split)
    looks.walked = 0
    held = [parameter.grad for parameter in names["model"].parameters()]
    backward()
    check(names, split)
    del held
    assert looks.walked == 0


def data_exchanged(n: dict[str, Any]) -> None:
    one, other = n["model"].layers[0].weight, n["model"].layers[2].weight
    one.data, other.data = other.data, one.data


def resized(n: dict[str, Any]) -> None:
    n["model"].mask.data = torch.ones(4)  # the memory under the one before is numpy's too, and keeps its size
    storage = n["model"].mask.untyped_storage()
    storage.resize_(storage.nbytes() + 64)


def rewritten_in_place(n: dict[str, Any]) -> None:
    np.asarray(n["model"].norm.weight.detach())[:] = 7.0


def born_again(n: dict[str, Any]) -> None:
    """A new layer, likely to lie where another lay."""
    n["model"].layers[0] = torch.nn.Identity()
    n.pop("part", None)
    n["weights"] = []
    gc.collect()
    n["model"].layers[0] = torch.nn.Linear(4, 4)


def other_attributes(n: dict[str, Any]) -> None:
    n["model"].layers[1].__dict__ = {**n["model"].layers[1].__dict__, "in_features": 5}


def same_attributes_in_another_dictionary(n: dict[str, Any]) -> None:
    n["model"].layers[1].__dict__ = dict(n["model"].layers[1].__dict__)


def a_gradient_that_is_met_elsewhere(n: dict[str, Any]) -> None:
    n["model"](torch.arange(7)).sum().backward()
    n["model"].note = n["model"].head.weight.grad


def keys_of_state_exchanged(n: dict[str, Any]) -> None:
    state = n["optimizer"].state
    first, second = list(state)[:2]
    state[first], state[second] = state[second], state[first]


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "data exchanged": data_exchanged,
    "a storage resized": resized,
    "written through numpy": rewritten_in_place,
    "a layer born again": born_again,
    "attributes replaced": other_attributes,
    "attributes in another dictionary": same_attributes_in_another_dictionary,
    "a gradient met elsewhere": a_gradient_that_is_met_elsewhere,
    "moments exchanged": keys_of_state_exchanged,
    "hooks known to another": lambda n: n.update(hooks=n["model"].layers[1]._forward_hooks),
    "hooks shared by two modules": lambda n: setattr(n["model"].layers[0], "_forward_hooks", n["model"].layers[1]._forward_hooks),
    "hooks that have attributes": lambda n: setattr(n["model"].layers[0]._forward_hooks, "note", 1),
    "a handle that outlives its hook": lambda n: n.update(handle=(h := n["model"].register_forward_hook(hook))) or h.remove(),
    "hooks that are a plain dictionary": lambda n: setattr(n["model"].layers[0], "_forward_hooks", {}),
    "a hook put in by hand": lambda n: n["model"].layers[2]._forward_hooks.__setitem__(7, hook),
    "buffers known to another": lambda n: n.update(buffers=n["model"].layers[1]._buffers),
    "buffers shared by two modules": lambda n: setattr(n["model"].layers[0], "_buffers", n["model"].layers[1]._buffers),
    "buffers in an ordered dictionary": lambda n: n["model"].layers[2].__dict__.update(_buffers=OrderedDict()),
    "a buffer put in by hand": lambda n: n["model"].layers[2]._buffers.update(mask=None),
    "buffers that something refers to weakly": lambda n: n.update(names=weakref.ref(n["model"].layers[0]._non_persistent_buffers_set)),
    "modules put into one that had none": lambda n: n["model"].layers[1].add_module("inner", torch.nn.Identity()),
    "an attribute of a tensor": lambda n: setattr(n["model"].head.weight, "note", [1]),
    "a float replaced by its like": lambda n: setattr(n["model"].config, "rate", float("0.1") if n["model"].config.rate != 0.1 else 0.2),
    "a true made one": lambda n: n["model"].__dict__.__setitem__("training", 1),
    "a text of another type": lambda n: setattr(n["model"], "note", type("Text", (str,), {})("x")),
    "parameters in another order": lambda n: n["model"].layers[0]._parameters.update(weight=n["model"].layers[0]._parameters.pop("weight")),
    "an ordered dictionary moved": lambda n: n["model"]._modules.update(embed=n["model"]._modules.pop("embed")),
    "a list emptied and filled": lambda n: n["config"].layers.__setitem__(slice(None), [3, 2, 1]),
    "a set that does not persist": lambda n: n["model"]._non_persistent_buffers_set.add("mask"),
    "a set's order": lambda n: n["model"].norm._non_persistent_buffers_set.update({"num_batches_tracked", "running_mean"}),
    "a configuration of the same values": lambda n: n["model"].__dict__.update(config=Config()),
    "a view of the same memory": lambda n: n["model"].layers[0].__dict__.update(view=n["model"].layers[0].weight.detach().view(2, 8)),
    "transposed data": lambda n: setattr(n["model"].layers[0].weight, "data", n["model"].layers[0].weight.data.t()),
    "moments replaced": lambda n: n["optimizer"].load_state_dict(n["optimizer"].state_dict()),
    "the default of the state": lambda n: setattr(n["optimizer"].state, "default_factory", list),
    "a tensor's hooks": lambda n: n["model"].head.weight.register_hook(operator.neg),
    "a method as an attribute": lambda n: setattr(n["model"], "note", n["model"].layers[0].reset_parameters),
    "a new class of the same name": lambda n: n["model"].__dict__.update(config=type("Config", (), {})()),
    "the model put in again": lambda n: n.update(model=n["model"], part=n["model"].layers[2]),
    "a model that is another's part": lambda n: n.update(inner=n["model"].layers, all=OrderedDict(model=n["model"])),
    "another model in the same place": lambda n: n.update(model=None) or (gc.collect() and n.update(model=Net())) or n.update(model=Net()),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_change_after_a_recheck_is_in_the_capture(name: str) -> None:
    names, split = prepared()
    for _ in range(2):
        try:
            HOSTILE[name](names)
        except KeyError:
            pass
        try:
            check(names, split)
        except Exception as error:
            if "cannot" not in str(error) and "t pickle" not in str(error):
                raise


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_change_after_a_recheck_is_in_the_capture(name: str) -> None:
    names, split = prepared()
    for _ in range(2):
        MUTATIONS[name](names)
        check(names, split)
        if name != "another dtype":
            train(names)


def plain_configuration() -> Config:
    made = Config()
    vars(made).clear()
    vars(made).update(number=1, text="x")
    return made


def two_configurations(n: dict[str, Any]) -> None:
    n["model"].one, n["model"].two = plain_configuration(), plain_configuration()


def attributes_in_common(n: dict[str, Any]) -> None:
    n["model"].two.__dict__ = n["model"].one.__dict__
    n["rest"] = [[1], [2]]


def attributes_that_are_held(n: dict[str, Any]) -> None:
    n["model"].one = plain_configuration()
    n["model"].held = vars(n["model"].one)


def attributes_anew(n: dict[str, Any]) -> None:
    n["model"].one.__dict__ = dict(n["model"].one.__dict__)


def state_in_itself(n: dict[str, Any]) -> None:
    state = n["optimizer"].state
    next(iter(state.values()))["all"] = state


def state_anew(n: dict[str, Any]) -> None:
    state = n["optimizer"].state
    n["optimizer"].state = defaultdict(state.default_factory, state)


def gradients_in_the_state(n: dict[str, Any]) -> None:
    gradients_anew(n)
    for parameter, kept in n["optimizer"].state.items():
        kept["last"] = parameter.grad


def gradients_anew(n: dict[str, Any]) -> None:
    n["optimizer"].zero_grad()
    n["model"](torch.arange(7)).sum().backward()


def attribute_passed_on(n: dict[str, Any]) -> None:
    first, second = n["model"].head.weight, n["model"].layers[0].weight
    vars(second).update(vars(first))
    vars(first).clear()


LATER: dict[str, tuple[Callable[[dict[str, Any]], Any], Callable[[dict[str, Any]], Any]]] = {
    "an attribute that goes to another tensor": (lambda n: setattr(n["model"].head.weight, "note", "mine"), attribute_passed_on),
    "a tensor's hook after one that was removed": (
        lambda n: n["model"].head.weight.register_hook(operator.neg).remove(),
        lambda n: n["model"].head.weight.register_hook(operator.pos),
    ),
    "a hook on a gradient after one that was removed": (
        lambda n: n["model"].head.weight.register_post_accumulate_grad_hook(operator.neg).remove(),
        lambda n: n["model"].head.weight.register_post_accumulate_grad_hook(operator.pos),
    ),
    "two objects that come to have their attributes in common": (two_configurations, attributes_in_common),
    "an object whose attributes leave a dictionary that is held": (attributes_that_are_held, attributes_anew),
    "the state of an optimizer, which refers to itself, in another dictionary": (state_in_itself, state_anew),
    "gradients that an optimizer keeps, and newer ones": (gradients_in_the_state, gradients_anew),
    "an object without attributes": (lambda n: setattr(n["model"], "mark", object()), train),
}


@pytest.mark.parametrize("name", LATER)
def test_a_change_after_what_had_stayed_for_some_captures_is_noticed(name: str) -> None:
    before, after = LATER[name]
    names, split = prepared()
    before(names)
    for _ in range(3):
        check(names, split)
    after(names)
    check(names, split)


def test_a_reducer_that_is_registered_between_two_captures_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reducers, "REGISTERED", {})
    names, split = prepared()
    reducers.register_reducer(Config, lambda config: (Config, (), {"note": "by the reducer"}))
    got = state.capture({"names": names}, {"names": {}}, LIVE, split)
    assert restored(got)["config"].note == "by the reducer"


def test_a_librarys_class_that_is_changed_between_two_captures_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, split = argparse.Namespace(rate=0.1), Split()
    names = {"settings": settings, "held": vars(settings)}
    for _ in range(2):
        check(names, split)
    monkeypatch.setattr(argparse.Namespace, "__getstate__", lambda self: {"rate": "as the class says"}, raising=False)
    got = state.capture({"names": names}, {"names": {}}, LIVE, split)
    assert restored(got)["settings"].rate == "as the class says"


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
def test_nothing_is_held_by_the_classes_that_torch_makes_for_one_module(kind: str) -> None:
    split, references = Split(), []
    for _ in range(3):
        layer = getattr(torch.nn.utils.parametrizations, kind)(torch.nn.Linear(2, 2))
        state.capture({"names": {"layer": layer}}, {"names": {}}, LIVE, split, shares=False)
        references.append(weakref.ref(layer))
        del layer
        gc.collect()
    assert [reference() for reference in references] == [None] * 3


def test_a_hook_that_came_since_is_not_held_by_a_recheck() -> None:
    names, split = prepared()
    weight = names["model"].head.weight
    weight.register_hook(operator.neg).remove()
    for _ in range(3):
        check(names, split)
    held = Config()
    reference = weakref.ref(held)
    weight.register_hook(lambda gradient, held=held: gradient)
    del held, weight
    names.clear()
    gc.collect()
    assert reference() is None


def test_what_a_held_dictionary_of_attributes_leads_to_stays_what_the_module_has() -> None:
    for split in (None, Split()):
        layer = torch.nn.Linear(2, 2)
        names = {"layer": layer, "held": vars(layer), "values": vars(layer).values()}
        for _ in range(3):
            back = restored(state.capture({"names": names}, {"names": {}}, LIVE, split))
            assert back["held"]["_buffers"] is back["layer"]._buffers
            assert back["held"]["_forward_hooks"] is back["layer"]._forward_hooks
            assert any(value is back["layer"]._modules for value in back["values"])


@pytest.mark.skipif(words.versions([{}]) is None, reason="this Python has no versions of dictionaries")
@pytest.mark.parametrize("between", ["switched to evaluation and back", "a hook that came and went"])
def test_what_was_written_and_is_the_same_is_compared_once(between: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names, split = prepared()
    compared = []
    plain = levels.Tables._hold_the_same
    monkeypatch.setattr(levels.Tables, "_hold_the_same", lambda *parts: compared.append(1) or plain(*parts))
    for _ in range(5):
        if between == "switched to evaluation and back":
            names["model"].eval()
            names["model"].train()
        else:
            handle = names["model"].layers[1].register_forward_hook(hook)
            check(names, split)
            check(names, split)
            handle.remove()
            del handle
            check(names, split)
            check(names, split)
            compared.clear()
        check(names, split)
        if words.versions([{}]) is not None:
            assert len(compared) <= 2
            compared.clear()
            check(names, split)
            assert not compared


def test_what_another_thread_writes_between_content_and_version_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version stands for what was there before it was read; a write right after is another version."""
    names, split = prepared()
    names["model"].box = plain_configuration()
    plain = levels._values_of
    for number in (2, 3):
        def values(tables: Any, number: int = number) -> Any:
            found = plain(tables)
            names["model"].box.number = number
            return found

        names["model"].eval()
        with monkeypatch.context() as patch:
            patch.setattr(levels, "_values_of", values)
            state.capture({"names": names}, {"names": {}}, LIVE, split, shares=False)
        check(names, split)
        names["model"].train()
        check(names, split)


def test_modules_whose_parameters_torch_swaps_can_move_between_captures() -> None:
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        names, split = started(), Split()
        for dtype in (torch.float64, torch.float32):
            for _ in range(3):
                check(names, split)
            names["model"].to(dtype)  # refused for tensors to which there are weak references
            check(names, split)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


def test_a_recheck_that_never_holds_is_not_made_for_ever() -> None:
    names, split = prepared()
    made = []
    plain = splits.recheck_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "recheck_of", lambda *parts: made.append(1) or plain(*parts))
        for _ in range(12):
            names["model"].layers[0].in_features = int("1000") - 996  # equal, and yet another object: fine for small numbers
            names["model"].eps = float("0.125")
            check(names, split)
    assert len(made) < 12


def test_nothing_of_the_user_is_held_by_a_recheck() -> None:
    names, split = prepared()
    check(names, split)
    weight = names["model"].layers[0].weight
    held = [names["model"], weight, weight.untyped_storage(), names["optimizer"]]
    references = [*map(weakref.ref, held)]
    del weight, held
    names.clear()
    gc.collect()
    assert [reference() for reference in references] == [None] * 4
    assert split.segments


def test_what_is_among_others_is_told_by_identity() -> None:
    things = tuple([object() for _ in range(300)] + [1, "a", 1])
    assert all(is_among(thing, things) for thing in things)
    assert not any(is_among(other, things) for other in (object(), [], things, None))
