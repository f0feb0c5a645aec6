"""Words that containers have in memory, and what tensors are like: each difference is told, and nothing is held."""

from __future__ import annotations

import gc
import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch

from colab_guard.state import likeness, things, words
from colab_guard.state.likeness import Likeness

HAS_WORDS = (3, 11) <= sys.version_info[:2] <= (3, 12)
told_by_words = pytest.mark.skipif(not HAS_WORDS, reason="this Python has no versions of dictionaries")


def test_they_are_there_where_python_has_them() -> None:
    import numpy  # noqa: F401

    assert (words.versions([{}]) is not None) == HAS_WORDS
    assert (words.steady([set()]) is not None) == HAS_WORDS


def test_without_numpy_or_in_another_python_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_KNOWN", False)
    assert words.versions([{}]) is None and words.steady([{}]) is None
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert words.versions([{}]) is None


@pytest.mark.parametrize("place", ["VERSION", "ITEMS_OF_SET"])
def test_words_that_mean_something_else_are_not_trusted(place: str) -> None:
    import numpy

    memory = numpy.asarray(words._All())

    def wrong(address: int, offset: int) -> int:
        return 1 if offset in (0, getattr(words, place)) else int(memory[(address + offset - words.BEGIN) // words.WORD])

    assert not words._versions_rise(wrong) and not words._attributes_count(wrong) and not words._containers_tell(wrong)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a new key": lambda d: d.update(new=1),
    "another value": lambda d: d.update(a=object()),
    "a key deleted": lambda d: d.pop("a"),
    "the same key put in again": lambda d: d.update(a=d.pop("a")),
    "emptied": lambda d: d.clear(),
    "code that runs in it": lambda d: exec("a = object()", {}, d),
}


@told_by_words
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_one_dictionary_among_many_is_told(name: str) -> None:
    many: list[dict[str, Any]] = [{"a": object(), "b": number} for number in range(1_000)]
    told = words.versions(many)
    assert told is not None and told.as_expected()
    CHANGES[name](many[567])
    assert not told.as_expected()
    told.expected = told.now()
    assert told.as_expected()
    _ = [(list(one.items()), dict(one), one.get("b")) for one in many]
    assert told.as_expected()


class Some:
    pass


@told_by_words
def test_an_attribute_that_is_set_anywhere_is_told() -> None:
    things = [Some() for _ in range(50)]
    for thing in things:
        vars(thing).update(first=0)
    told = words.versions([vars(thing) for thing in things])
    assert told is not None
    for number in range(200):
        thing: Any = things[number % 50]
        assert told.as_expected()
        thing.first = object()
        assert not told.as_expected()
        told.expected = told.now()


EMPTY: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "a dictionary that is filled": (dict, lambda thing: thing.update(a=1)),
    "a dictionary that was filled": (dict, lambda thing: thing.update(a=1) or thing.clear()),
    "a dictionary known to another": (dict, lambda thing: [thing]),
    "an ordered one that is filled": (OrderedDict, lambda thing: thing.update(a=1)),
    "an ordered one known to another": (OrderedDict, lambda thing: [thing]),
    "an ordered one with an attribute": (OrderedDict, lambda thing: setattr(thing, "note", 1)),
    "an ordered one that is referred to weakly": (OrderedDict, weakref.ref),
    "a set that is filled": (set, lambda thing: thing.add(1)),
    "a set known to another": (set, lambda thing: [thing]),
    "a set that is referred to weakly": (set, weakref.ref),
}


@told_by_words
@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_container_that_is_not_as_it_was_is_told(name: str) -> None:
    make, change = EMPTY[name]
    holder = [make() for _ in range(100)]
    steady, versions = words.steady(holder), words.versions([one for one in holder if isinstance(one, dict)])
    assert steady is not None and steady.as_expected() and versions is not None and versions.as_expected()
    kept = change(holder[42])
    assert not (steady.as_expected() and versions.as_expected())
    del kept


@told_by_words
def test_attributes_that_were_there_before_are_never_taken_for_none() -> None:
    thing: Any = OrderedDict()
    thing.__dict__.clear()  # it has a dictionary now, which may be filled unseen
    holder = [thing]
    del thing
    told = words.steady(holder)
    assert told is not None and not told.as_expected()
    assert things.attributes_of_ordered(holder[0]) is None


def test_to_ask_an_ordered_dictionary_for_attributes_gives_it_none() -> None:
    holder: list[Any] = [OrderedDict()]
    told = words.steady(holder)
    assert things.attributes_of_ordered(holder[0]) is None
    assert told is None or told.as_expected()
    holder[0].note = 1
    assert things.attributes_of_ordered(holder[0]) == {"note": 1}


def test_they_can_be_printed() -> None:
    assert "Words" in repr(words.versions([{}]) or words.Words)


def test_addresses_that_are_no_places_give_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(words._All.__array_interface__, "shape", (2**40 // words.WORD,))
    words._tried.cache_clear()
    try:
        assert words.versions([{}]) is None
    finally:
        words._tried.cache_clear()


def test_nothing_is_held() -> None:
    thing, tensor = Some(), torch.zeros(2)
    references = weakref.ref(thing), weakref.ref(tensor)
    told, like = words.versions([vars(thing)]), Likeness([tensor])
    del thing, tensor
    gc.collect()
    assert [reference() for reference in references] == [None, None]
    del told, like


def leaf(**options: Any) -> Any:
    return torch.zeros(2, 3, **options)


def hooked(one: Any) -> Any:
    one.requires_grad_(True).register_hook(torch.neg)
    return one


def noted(one: Any) -> Any:
    one.note = 1
    return one


OTHERS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "a parameter": (leaf, lambda: torch.nn.Parameter(leaf(), requires_grad=False)),
    "one that asks for gradients": (leaf, lambda: leaf(requires_grad=True)),
    "one that asks for none": (lambda: leaf(requires_grad=True), leaf),
    "a result": (lambda: leaf(requires_grad=True), lambda: leaf(requires_grad=True) * 1),
    "another dtype": (leaf, lambda: leaf(dtype=torch.int32)),
    "another device": (leaf, lambda: leaf(device="meta")),
    "another shape": (leaf, lambda: torch.zeros(3, 2)),
    "another number of dimensions": (leaf, lambda: torch.zeros(2, 3, 1)),
    "other strides": (leaf, lambda: torch.zeros(3, 2).t()),
    "another place in its memory": (leaf, lambda: torch.zeros(9)[3:].view(2, 3)),
    "a conjugate": (lambda: leaf(dtype=torch.complex64), lambda: leaf(dtype=torch.complex64).conj()),
    "a negative view": (leaf, lambda: torch._neg_view(leaf())),
    "one with a hook": (lambda: leaf(requires_grad=True), lambda: hooked(leaf())),
    "one with an attribute": (leaf, lambda: noted(leaf())),
}


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", OTHERS)
def test_a_tensor_that_is_not_like_the_one_before_is_told(name: str, quick: bool, grad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not quick:
        monkeypatch.setattr(likeness, "_notices", lambda torch: False)
    make, other = OTHERS[name]
    with torch.set_grad_enabled(grad):
        if name == "a result" and not grad:
            return
        like = Likeness([leaf(), make(), leaf()])
        assert like.is_of([leaf(), make(), leaf()])
        with torch.set_grad_enabled(True):
            assert like.is_of([leaf(), make(), leaf()])
            assert not like.is_of([leaf(), other(), leaf()])
        assert not like.is_of([leaf(), other(), leaf()])
        assert not like.is_of([leaf(), make()])


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_torchs_own_check_is_tried_out_whatever_the_user_has_set(device: str) -> None:
    with torch.device(device):
        assert likeness._notices.__wrapped__(torch) == likeness._notices(torch)
    torch.set_default_dtype(torch.float64)
    try:
        assert likeness._notices.__wrapped__(torch) == likeness._notices(torch)
    finally:
        torch.set_default_dtype(torch.float32)


def test_torchs_own_check_is_used_where_it_is_there() -> None:
    assert likeness._notices(torch) == hasattr(torch._C._dynamo.guards, "TensorGuards")
    assert Likeness([leaf()])._check is not None


def test_a_check_that_notices_nothing_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind:
        def __init__(self, *tensors: Any) -> None:
            pass

        def check(self, *tensors: Any) -> bool:
            return True

    monkeypatch.setattr(likeness, "_made", lambda torch, tensors: Blind(*tensors))
    assert not likeness._notices.__wrapped__(torch)
    monkeypatch.setattr(likeness, "_made", lambda torch, tensors: torch.no_such_check)
    assert not likeness._notices.__wrapped__(torch)
