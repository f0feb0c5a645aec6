"""Random graphs of aliased objects come back with exactly the same shape."""

from __future__ import annotations

import random
import types
from typing import Any

import numpy as np
import pytest
import torch

from colab_guard import state
from colab_guard.state import Live


def grow(seed: int) -> dict[str, Any]:
    """Names over some 150 objects that refer to each other at random, cycles, views and shared memory included."""
    dice = random.Random(seed)
    pool: list[Any] = [np.arange(400.0), torch.arange(400.0), torch.nn.Linear(3, 3)]

    def pick() -> Any:
        return dice.choice(pool)

    def start() -> int:
        return dice.randrange(300)

    def over_memory() -> Any:
        of = pick()
        if isinstance(of, np.ndarray) and of.ndim == 1 and of.size > 50:
            return torch.from_numpy(of[dice.randrange(20) :])
        if isinstance(of, torch.Tensor) and of.ndim == 1 and len(of) > 50 and not of.requires_grad:
            return of.numpy()[dice.randrange(20) :] if dice.random() < 0.5 else of[:: dice.choice([1, 2])]
        return np.full(dice.randrange(1, 300), float(start()))

    makers = (
        lambda: [pick() for _ in range(dice.randrange(4))],
        lambda: {str(n): pick() for n in range(dice.randrange(4))},
        lambda: (pick(), pick()),
        lambda: types.SimpleNamespace(a=pick(), b=pick()),
        over_memory,
        over_memory,
    )
    for _ in range(150):
        pool.append(dice.choice(makers)())
    for holder in pool:
        if isinstance(holder, list):
            holder.append(pick())
    return {f"n{number}": pick() for number in range(12)}


def same_shape(old: Any, new: Any) -> int:
    """Walk both graphs in step; every object has exactly one counterpart. Gives the number of objects."""
    forth: dict[int, Any] = {}
    back: dict[int, Any] = {}
    todo = [(old, new)]
    while todo:
        a, b = todo.pop()
        assert type(a) is type(b)
        if isinstance(a, (int, float, str, type(None))):
            assert a == b
            continue
        if id(a) in forth or id(b) in back:
            assert forth.get(id(a)) is b and back.get(id(b)) is a
            continue
        forth[id(a)], back[id(b)] = b, a
        if isinstance(a, (np.ndarray, torch.Tensor)):
            assert np.array_equal(np.asarray(a.data), np.asarray(b.data))
        elif isinstance(a, (list, tuple)):
            assert len(a) == len(b)
            todo.extend(zip(a, b, strict=True))
        elif isinstance(a, dict):
            assert list(a) == list(b)
            todo.extend(zip(a.values(), b.values(), strict=True))
        elif isinstance(a, types.SimpleNamespace):
            todo.append((vars(a), vars(b)))
    return len(forth)


def arrays_in(names: dict[str, Any]) -> list[Any]:
    found, seen, todo = [], set(), list(names.values())
    while todo:
        thing = todo.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, (np.ndarray, torch.Tensor)):
            found.append(thing)
        elif isinstance(thing, (list, tuple)):
            todo.extend(thing)
        elif isinstance(thing, dict):
            todo.extend(thing.values())
        elif isinstance(thing, types.SimpleNamespace):
            todo.extend(vars(thing).values())
    return found


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_keep_objects_values_and_shared_memory(seed: int) -> None:
    names = grow(seed)
    got = state.capture({"names": names}, {"names": {}}, Live({}, {}))
    buffers = {b.key: bytearray(b.data) for b in got.buffers}
    back = state.restore(got.parts, buffers, Live({}, {}))[0]["names"]
    same_shape(names, back)
    # what is written through one view is seen through all others, on both sides alike
    for number, (a, b) in enumerate(zip(arrays_in(names), arrays_in(back), strict=True)):
        if a.shape and not (isinstance(a, torch.Tensor) and a.requires_grad):
            a[..., -1] = b[..., -1] = -number - 1
    same_shape(names, back)
