"""Comprehensions and `while` tests that call the notebook's loops: killed at every safe point, resumed inside."""

from __future__ import annotations

import ast

import pytest

from colab_guard.cells import loops
from colab_guard.cells.calls import callees
from colab_guard.cells.plainer import plainer
from tests.cells.harness import run
from tests.cells.test_functions import check

SETUP = """
import random
log = []
def train(k, n=3):
    total = 0
    for i in range(n):
        total += i * k + random.random()
        log.append((k, i))
    return total
class Model:
    def fit(self, k):
        for i in range(2):
            log.append(('fit', k, i))
        return self
    def score(self):
        return len(log)
"""

CELLS = {
    "a list": "k = 'mine'\nscores = [train(k) for k in range(3)]\nkept = k",
    "a list in a function": "def main(n):\n    k = 'mine'\n    scores = [train(k) for k in range(n)]\n    return scores, k\nresult = main(3)",
    "with conditions": "scores = [train(a + b) for a in range(3) if a != 1 for b in (1, 2) if b > a]",
    "a dictionary": "names = ['a', 'bb']\nscores = {name.upper(): train(len(name)) for name in names}",
    "a dictionary whose key trains": "scores = {round(train(k), 3): train(k, 2) for k in range(2)}",
    "a set": "found = {round(train(k), 6) for k in range(2)}",
    "a sum": "total = sum(train(k) for k in range(3))\nbest = max(train(k) for k in (2, 1))",
    "a mean by a library": "import statistics\nmean = statistics.mean([train(k) for k in range(3)])",
    "a last expression": "[train(k) for k in range(2)]",
    "in what a loop goes over and in a test": "out = []\nfor s in [train(k) for k in range(2)]:\n    out.append(s)\nif [train(k) for k in range(2)]:\n    out.append('yes')",
    "methods in a chain": "models = [Model().fit(k).score() for k in range(3)]",
    "in a return and added to": "def main():\n    out = [0]\n    out += [train(k) for k in range(2)]\n    return sorted(train(k) for k in (3, 1)) + out\nresult = main()",
    "added to an item": "x, keys = {'k': [0]}, []\ndef key():\n    keys.append(1)\n    return 'k'\nx[key()] += [train(k) for k in range(2)]",
    "one in another's iterable": "out = [train(x) for x in [train(k, 1) for k in range(2)]]",
    "a while's test": "tries = 0\nwhile (score := train(tries)) < 4:\n    tries += 1\n    if tries == 9:\n        break\nelse:\n    log.append('done')\nafter = tries",
    "a while's test, with break and continue": "def main():\n    n = 0\n    out = []\n    while train(n) < 100:\n        n += 1\n        if n == 2:\n            continue\n        if n == 4:\n            break\n        out.append(n)\n    else:\n        out.append('never')\n    return out, n\nresult = main()",
    "a private name": "class P:\n    def run(self):\n        return [train(__k) for __k in range(2)]\nresult = P().run()",
    "an unpacked target": "pairs = [(1, [2, 3]), (2, [4, 5])]\nout = [train(a + b + c) for a, (b, c) in pairs]",
}


@pytest.fixture(autouse=True)
def look_at_every_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "MOST_BETWEEN_LOOKS", 1)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_killed_inside_such_an_expression_ends_as_if_nothing_had_happened(name: str) -> None:
    check(SETUP, CELLS[name])


@pytest.mark.parametrize(
    "source",
    [
        "out = [lambda: train(k) for k in range(2)]",
        "out = [[train(k, j) for j in range(2)] for k in range(2)]",
        "out = f(g(), [train(k) for k in range(2)])",
        "ok = any(train(k) for k in range(2))",
        "out = a or [train(k) for k in range(2)]",
        "sum = 3\nout = sum(train(k) for k in range(2))",
        "out = [int(k) for k in range(2)]",
    ],
)
def test_what_would_change_its_order_or_its_variables_stays_as_it_is_written(source: str) -> None:
    tree = ast.parse(source)
    known = callees([ast.parse("def train(k):\n    for i in k:\n        pass")], ())
    assert ast.unparse(plainer(tree, known)) == ast.unparse(tree)


def test_nothing_hidden_is_left_among_the_names() -> None:
    from tests.cells.harness import FakeEngine

    names, value = run(SETUP, "[train(k) for k in range(2)]", FakeEngine())
    assert not [name for name in names if name.startswith("_cgv")]
    assert len(value) == 2
