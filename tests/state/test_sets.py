"""Sets come back in the order in which they iterated and popped, and go on in the same way."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from colab_guard.state import set_order, sets

ITEMS: dict[str, Callable[[random.Random], Any]] = {
    "small numbers": lambda r: r.randrange(200),
    "large numbers": lambda r: r.randrange(2**60),
    "texts": lambda r: str(r.random()),
    "coordinates": lambda r: (r.randrange(100), r.randrange(100)),
    "negative numbers": lambda r: r.randrange(-50, 50),
    "fractions": lambda r: r.random() * 1e3,
}


def lived(make: Callable[[random.Random], Any], rng: random.Random) -> set[Any]:
    """A set with a past: items came and went, and it was copied, cut down and merged."""
    found: set[Any] = set()
    for _ in range(rng.choice([5, 30, 200, 1000])):
        chance = rng.random()
        if chance < 0.7:
            found.add(make(rng))
        elif chance < 0.8 and found:
            found.pop()
        elif chance < 0.9 and found:
            found.discard(rng.choice(list(found)))
        elif chance < 0.93:
            found = found | {make(rng) for _ in range(5)}
        elif chance < 0.95:
            found.update([make(rng) for _ in range(rng.randrange(40))])
        elif chance < 0.97:
            found -= {item for item in found if rng.random() < 0.3}
        elif chance < 0.98:
            found = found.copy()
        elif chance < 0.99:
            found.intersection_update(set(list(found)[: len(found) // 2]))
    return found


def live_on(thing: set[Any], make: Callable[[random.Random], Any], seed: int) -> list[Any]:
    rng = random.Random(seed)
    seen = []
    for _ in range(60):
        if rng.random() < 0.6:
            thing.add(make(rng))
        elif thing:
            seen.append(thing.pop())
    return [*seen, list(thing)]


def test_this_pythons_sets_are_known() -> None:
    assert sets.can_lay_out()


@pytest.mark.parametrize("kind", ITEMS)
def test_a_set_with_a_past_goes_on_as_the_first_one_does(kind: str) -> None:
    rng, make = random.Random(kind), ITEMS[kind]
    others = failed = 0
    for number in range(150):
        first = lived(make, rng)
        layout = pickle.loads(pickle.dumps(sets.layout_of(first)))
        second = pickle.loads(pickle.dumps(first))
        others += list(second) != list(first)
        if not sets.lay_out(second, layout):
            failed += 1
            assert second == first
            continue
        assert list(second) == list(first)
        assert live_on(second, make, number) == live_on(first, make, number)
    assert others > 30, "pickling alone would do"
    assert failed <= 6


def test_a_large_set_is_laid_out_again() -> None:
    rng = random.Random(1)
    first = {(rng.randrange(1000), rng.randrange(1000)) for _ in range(20_000)}
    for item in list(first)[::3]:
        first.discard(item)
    layout = sets.layout_of(first)
    second = pickle.loads(pickle.dumps(first))
    assert layout is not None and sets.lay_out(second, layout)
    assert list(second) == list(first)


def test_other_items_are_refused_and_stay() -> None:
    layout = sets.layout_of({1, 2, 3})
    assert layout is not None
    other = {1, 2, 4}
    assert not sets.lay_out(other, layout)
    assert other == {1, 2, 4}


class Grid:
    """Stands for a class of the notebook."""

    def __init__(self) -> None:
        self.open = worn()


Grid.__module__ = "__main__"


def worn() -> set[int]:
    """A set whose order a rebuilt one does not have."""
    found = set(range(10))
    found -= set(range(7))
    found.discard(9)
    assert list(pickle.loads(pickle.dumps(found))) != list(found)
    return found


def rebuilt() -> set[int]:
    found: set[int] = pickle.loads(pickle.dumps(worn()))
    return found


def test_sets_are_found_in_containers_objects_and_shared_variables() -> None:
    inner = worn()

    def closure() -> set[int]:
        return inner

    names = {
        "plain": worn(),
        "table": {"x": [1, (worn(), 2)]},
        "grid": Grid(),
        "cell": closure.__closure__[0] if closure.__closure__ else None,
        "small": {1},
        "numbers": [1] * 100,
    }
    paths = {order.path for order in pickle.loads(set_order.orders(names))}
    assert paths == {"plain", "table['x'][1][0]", "grid.open", "cell"}


def test_found_sets_are_put_in_order_in_place() -> None:
    names = {"table": {"x": [1, (worn(), 2)]}, "grid": Grid()}
    kept = set_order.orders(names)
    back = {"table": {"x": [1, (rebuilt(), 2)]}, "grid": Grid()}
    back["grid"].open = same = rebuilt()
    assert set_order.put_in_order(kept, back) == {}
    assert list(back["table"]["x"][1][0]) == list(worn())
    assert back["grid"].open is same and list(same) == list(worn())


def test_a_frozenset_in_another_order_and_a_set_of_other_hashes_are_told() -> None:
    names = {"frozen": frozenset(worn()), "texts": {"a", "b", "c"}, "fine": frozenset({1, 2})}
    kept = set_order.orders(names)
    script = "import pickle, sys; from colab_guard.state import set_order; kept, names = pickle.load(sys.stdin.buffer); print(list(set_order.put_in_order(kept, names)))"
    seeds = {"PYTHONHASHSEED": "17", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], input=pickle.dumps((kept, names)), capture_output=True, env=seeds, check=True)
    told = done.stdout.decode()
    assert "texts" in told and "fine" not in told


def test_bytes_without_a_set_are_not_looked_through() -> None:
    assert not set_order.holds_sets({"graph": pickle.dumps([1, "a", set(), {}], 5)})
    assert set_order.holds_sets({"graph": pickle.dumps([{1}], 5)})
    assert set_order.holds_sets({"graph": pickle.dumps([frozenset({1})], 5)})


def test_a_frozenset_that_lies_otherwise_is_named_for_what_it_is() -> None:
    grown = {16, 0, 8}
    names = {"frozen": frozenset(grown)}
    kept = set_order.orders({"frozen": frozenset([8, 0, 16])})
    assert list(names["frozen"]) != [8, 0, 16]
    assert set_order.put_in_order(kept, names) == {"frozen": set_order.FROZEN}
