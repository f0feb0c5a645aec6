"""What the user's code drops is gone: neither snapshots nor a resume hold it."""

from __future__ import annotations

import pytest

from tests.cells.harness import FakeEngine, killed_at, loaded, run

SETUP = "import weakref\nclass Big:\n    pass\n"
CELLS = {
    "a name of the cell": "big = Big()\nref = weakref.ref(big)\nfor i in range(4):\n    pass\ndel big\nout = ref() is None",
    "an item of a list": "items = [Big() for _ in range(3)]\nref = weakref.ref(items[-1])\nfor i in range(4):\n    pass\nitems.pop()\nout = ref() is None",
    "rebound in a loop": (
        "refs, out = [], []\nfor i in range(4):\n    big = Big()\n    refs.append(weakref.ref(big))\n    for j in range(2):\n        pass\n"
        "    out.append(sum(ref() is not None for ref in refs))"
    ),
    "a variable of a function": (
        "def train(out):\n    big = Big()\n    ref = weakref.ref(big)\n    for i in range(4):\n        pass\n    del big\n    out.append(ref() is None)\n"
        "out = []\ntrain(out)"
    ),
    "a shared variable of a function": (
        "def train(out):\n    big = Big()\n    ref = weakref.ref(big)\n    def use():\n        return big\n    for i in range(4):\n        use()\n"
        "    big = None\n    out.append(ref() is None)\nout = []\ntrain(out)"
    ),
    "what a loop goes over": (
        "class Bag(list):\n    pass\nbag = Bag([1, 2, 3])\nref = weakref.ref(bag)\nfor x in bag:\n    pass\ndel bag\nout = ref() is None"
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_what_is_dropped_is_gone_with_snapshots_and_after_a_resume(name: str) -> None:
    source = CELLS[name]
    plain: dict[str, object] = {}
    exec(SETUP + source, plain)
    engine = FakeEngine()
    names, _ = run(SETUP, source, engine)
    assert names["out"] == plain["out"]
    for number in range(len(engine.seen)):
        first, names, _, _ = killed_at(SETUP, source, number)
        assert names["out"] == plain["out"], first.position


def test_a_snapshots_bytes_are_let_go_of_once_they_are_restored() -> None:
    source = "total = 0\nfor i in range(4):\n    total += i"
    first, *_ = killed_at(SETUP, source, 1)
    assert first.captured is not None
    start = loaded(first.captured, first.kind)
    names, _ = run(SETUP, source, FakeEngine(), start)
    assert names["total"] == 6 and not start.parts and not start.buffers
