"""Killed at every safe point in turn, a cell ends with what the uninterrupted run gives."""

from __future__ import annotations

import random

import pytest

from colab_guard.cells import loops
from tests.cells.harness import FakeEngine, killed_at, results, run

CELLS = {
    "for over a range": "out = []\nfor i in range(5):\n    out.append(i * 2)\nout",
    "for over a list that changes": "todo = [1, 2, 3]\nseen = []\nfor x in todo:\n    seen.append(x)\n    if x == 2:\n        todo.append(9)",
    "nested for": "out = []\nfor i in range(3):\n    for j in range(3):\n        out.append((i, j))\n    out.append('row')",
    "three deep": "n = 0\nfor i in range(2):\n    a = i\n    for j in range(2):\n        for k in range(2):\n            n += a + j * k\n        n *= 2",
    "while": "n = 0\nwhile n < 6:\n    n += 1\nlast = n",
    "while true with break": "n = 0\nwhile True:\n    n += 1\n    if n > 5:\n        break\nlast = n",
    "while with else": "n = 0\nwhile n < 3:\n    n += 1\nelse:\n    done = 'yes'\n    for i in range(3):\n        n += i",
    "for with else": "out = []\nfor i in range(3):\n    out.append(i)\nelse:\n    out.append('else')\n    for j in range(2):\n        out.append(j)",
    "for with else and break": "out = []\nfor i in range(5):\n    if i == 3:\n        break\n    out.append(i)\nelse:\n    out.append('never')",
    "continue": "out = []\nfor i in range(6):\n    for j in range(3):\n        if j == 1:\n            continue\n        out.append((i, j))\n    if i % 2:\n        continue\n    out.append('even')",
    "nested while in for": "out = []\nfor i in range(3):\n    n = i\n    while n < 4:\n        n += 1\n        out.append(n)\n    else:\n        out.append('x')",
    "inside if": "flag = len('abc') == 3\nout = []\nif flag:\n    flag = False\n    for i in range(4):\n        out.append(i)\nelse:\n    out.append('no')",
    "inside elif": "mode = 2\nout = []\nif mode == 1:\n    out.append('one')\nelif mode == 2:\n    mode = 1\n    for i in range(3):\n        out.append(i)\nelse:\n    out.append('three')",
    "inside else": "out = []\nif out:\n    out.append('x')\nelse:\n    for i in range(3):\n        out.append(i)",
    "inside try": "out = []\nfor i in range(3):\n    try:\n        for j in range(3):\n            if i == 1 and j == 1:\n                raise ValueError('x')\n            out.append((i, j))\n    except ValueError as error:\n        out.append(str(error))\n    finally:\n        out.append('finally')",
    "inside try else": "out = []\ntry:\n    out.append('body')\nexcept ValueError:\n    out.append('no')\nelse:\n    for i in range(3):\n        out.append(i)\nfinally:\n    out.append('end')",
    "inside with": "import contextlib\nout = []\n@contextlib.contextmanager\ndef scope(name):\n    out.append('in ' + name)\n    try:\n        yield name\n    finally:\n        pass\nstack = contextlib.ExitStack()\nwith stack as s:\n    for i in range(3):\n        out.append(i)",
    "loop target unpacked": "out = []\nfor k, (a, *b) in {'x': (1, 2, 3), 'y': (4, 5)}.items():\n    for c in b:\n        out.append((k, a, c))",
    "enumerate and zip": "out = []\nfor i, (a, b) in enumerate(zip('abc', [1, 2, 3])):\n    for n in range(2):\n        out.append((i, a, b, n))",
    "target is an attribute": "class Box:\n    pass\nbox = Box()\nout = []\nfor box.value in range(3):\n    for i in range(2):\n        out.append((box.value, i))",
    "random numbers": "import random\nout = []\nfor i in range(4):\n    out.append(random.random())\n    for j in range(2):\n        out.append(random.gauss(0, 1))",
    "two loops": "a = []\nfor i in range(3):\n    a.append(i)\nb = []\nfor i in a:\n    b.append(i * i)\nsum(b)",
    "no loop": "a = 1\nb = a + 1\nc = [a, b]\nc",
    "deleted name": "out = []\ntemporary = 5\nfor i in range(3):\n    out.append(i + temporary)\ndel temporary\nfor i in range(2):\n    out.append(i)",
    "names made only in a branch": "for i in range(4):\n    if i == 1:\n        first = i\n    if i == 3:\n        last = first",
    "aliases": "a = []\nb = a\nbox = {'a': a}\nfor i in range(3):\n    b.append(i)\nsame = a is b and box['a'] is a",
    "a function of the cell": "def double(x):\n    return 2 * x\nout = []\nfor i in range(4):\n    out.append(double(i))",
    "a closure with state": "def counter():\n    n = 0\n    def add():\n        nonlocal n\n        n += 1\n        return n\n    return add\nadd = counter()\nout = []\nfor i in range(4):\n    out.append(add())",
    "a class of the cell": "class Acc:\n    total = 0\n    def add(self, x):\n        self.total += x\n        Acc.calls = getattr(Acc, 'calls', 0) + 1\nacc = Acc()\nfor i in range(4):\n    acc.add(i)\ncalls = Acc.calls\ntotal = acc.total",
    "a function of an earlier cell": "out = []\nfor i in range(3):\n    out.append(helper(i))\n    state['n'] += 1\nn = state['n']",
    "itertools": "import itertools\nout = []\nfor a, b in itertools.product(range(2), 'xy'):\n    for n in itertools.islice(itertools.count(), 2):\n        out.append((a, b, n))",
    "an object that iterates by a generator method": "out = []\nfor x in source:\n    for i in range(2):\n        out.append((x, i))",
    "sets": "seen = {'a', 'b', 'c', 'd'}\norder = []\nfor x in seen:\n    order.append(x)\nok = sorted(order)\ndel order, x",
    "last value none": "x = 0\nfor i in range(3):\n    x += i\nNone",
    "silenced value": "x = 0\nfor i in range(3):\n    x += i\nx;",
    "magic and shell lines": "out = []\nfor i in range(2):\n    out.append(i)\n%pwd\nv = %pwd\nn = len(v) > 0",
    "top level await": "import asyncio\nout = []\nfor i in range(3):\n    await asyncio.sleep(0)\n    out.append(i)",
    "swap of containers": "a, b = [1], [2]\nfor i in range(4):\n    a, b = b, a\n    a.append(i)",
    "match": "out = []\nfor i in range(4):\n    match i % 3:\n        case 0:\n            out.append('zero')\n        case n:\n            out.append(n)",
    "walrus in while": "data = [1, 2, 3, 0, 5]\nit = iter(data)\nout = []\nwhile (x := next(it)):\n    out.append(x)",
}

SETUP = '''
state = {"n": 0}
def helper(x):
    return x + state["n"]
class Source:
    def __iter__(self):
        for i in range(3):
            yield i * 10
source = Source()
'''


@pytest.fixture(autouse=True)
def look_at_every_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "MOST_BETWEEN_LOOKS", 1)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_killed_at_any_safe_point_ends_as_if_nothing_had_happened(name: str) -> None:
    source = CELLS[name]
    whole = FakeEngine()
    expected_names, expected = run(SETUP, source, whole)
    expected_random = random.getstate()
    want = {k: v for k, v in results(expected_names).items() if is_plain(v)}
    assert whole.seen, "no safe point"
    for number in range(len(whole.seen)):
        first, names, value, second = killed_at(SETUP, source, number)
        got = {k: v for k, v in results(names).items() if is_plain(v)}
        assert got == want, f"killed at {first.position}"
        assert value == expected or (name == "a class of the cell")
        assert random.getstate() == expected_random, f"killed at {first.position}"
        passed_after = len(second.seen)
        assert passed_after == len(whole.seen) - number - 1, f"work was done twice or left out after {first.position}"


def is_plain(value: object) -> bool:
    return isinstance(value, (int, float, str, list, tuple, dict, set, type(None)))


RELOADED = """
import random
class Loader:
    def __init__(self):
        self.order, self.rng, self.passes = list(range(8)), random.Random(0), 0
    def __iter__(self):
        self.passes += 1
        self.rng.shuffle(self.order)
        self.at = 0
        return self
    def __next__(self):
        if self.at == 8:
            raise StopIteration
        self.at += 2
        return self.order[self.at - 2 : self.at]
loader = Loader()
seen = []
for epoch in range(3):
    for batch in loader:
        seen.append(batch)
passes = loader.passes
"""


def test_an_iterator_of_the_users_that_begins_anew_when_asked_is_asked_once_a_loop() -> None:
    plain: dict[str, object] = {}
    exec(RELOADED, plain)
    names, _ = run("", RELOADED, FakeEngine())
    assert (names["passes"], names["seen"]) == (plain["passes"], plain["seen"])
    for number in range(0, 14, 3):
        _, names, _, _ = killed_at("", RELOADED, number)
        assert (names["passes"], names["seen"]) == (plain["passes"], plain["seen"])


def test_a_set_of_constants_is_gone_over_in_the_order_that_python_gives_it() -> None:
    source = "r = []\nfor x in {1, 9, 17, 33, 5, 64, 128}:\n    r.append(x)\ndef f():\n    out = []\n    for x in {'b', 'a', 'c', 'dd', 'eee'}:\n        out.append(x)\n    return out\ns = f()"
    plain: dict[str, object] = {}
    exec(compile(source, "<plain>", "exec"), plain)
    names, _ = run("", source, FakeEngine())
    assert names["r"] == plain["r"] and names["s"] == plain["s"]
