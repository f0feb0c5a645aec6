"""The judge of the matrix is judged: what differs, in values or in aliases, has another digest."""

from __future__ import annotations

import collections
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.matrix.cellfile import BadCellFile, listed, read
from tests.matrix.digest import Writer, namespace_digest


def text(thing: Any) -> str:
    return Writer().text(thing)


def _twins() -> list[Any]:
    inner = [1]
    return [inner, inner]


def _counter(start: int) -> Callable[[], int]:
    def count() -> int:
        return start

    return count


DIFFERENT: dict[str, tuple[Any, Any]] = {
    "values": ([1, 2], [1, 3]),
    "types": (1, True),
    "signs of zero": (0.0, -0.0),
    "the last bit of a float": (0.1 + 0.2, 0.3),
    "aliases": (_twins(), [[1], [1]]),
    "the order of a dict": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "dtypes": (np.zeros(2), np.zeros(2, dtype="f4")),
    "the memory of views": ([(a := np.zeros(4)), a[1:]], [np.zeros(4), np.zeros(3)]),
    "what functions close over": (_counter(1), _counter(2)),
    "a deque's limit": (collections.deque([1], 3), collections.deque([1], 4)),
    "a generator's random state": (np.random.default_rng(1), np.random.default_rng(2)),
    "a random.Random": (random.Random(1), random.Random(2)),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_another_digest_for_other(what: str) -> None:
    one, other = DIFFERENT[what]
    assert text(one) != text(other)
    assert text(one) == text(one)


def test_waiting_iterators_differ_by_what_they_still_give() -> None:
    first, second = (n for n in range(5)), (n for n in range(5))
    next(second)
    assert namespace_digest({"g": first}) != namespace_digest({"g": second})


def test_deep_graphs_need_no_deep_recursion() -> None:
    chain: list[Any] = []
    for _ in range(50_000):
        chain = [chain]
    assert text(chain)


def test_the_same_in_another_process_with_another_hash_seed() -> None:
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.matrix.digest import Writer\n"
        "class A: pass\n"
        "a = A(); a.names = {f'n{i}' for i in range(50)}; a.self = a; a.pairs = frozenset((str(i), i) for i in range(9))\n"
        "print(Writer().text([a, a.names, lambda x: x in {'p', 'q', 'r'}]))"
    )
    seen = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        seen.add(done.stdout)
    assert len(seen) == 1


def test_every_cell_of_the_matrix_is_in_the_format() -> None:
    cells = listed()
    assert len({cell.construct for cell in cells}) == len(cells), "each cell is another construct"
    assert len(cells) >= 60


def test_a_file_that_is_not_in_the_format_is_said_to_be(tmp_path: Any) -> None:
    path = tmp_path / "wrong.py"
    for body, word in (
        ('"""X."""\n# %% setup\ntick()', "one `# %% cell`"),
        ("# %% cell\ntick()", "docstring"),
        ('"""X."""\n# kneads: bread\n# %% cell\ntick()', "kneads"),
        ('"""X."""\n# %% cell\npass', "tick"),
    ):
        path.write_text(body)
        with pytest.raises(BadCellFile, match=word):
            read(path)
