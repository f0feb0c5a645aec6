"""Functions that were running when the kernel was killed: edited, worded anew, and gone on in, in real kernels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kernels.harness import NOTES, Machine, Output, stacks

LOAD = "%load_ext colab_guard" + NOTES + """
import os, random, time
current().bus.subscribe(lambda event, at: note(f"event {type(event).__name__} {getattr(event, 'depth', '')}"))
"""
SETUP = '''
random.seed(5)
def numbers(n):
    for i in range(n):
        yield i + random.random()
class Model:
    """Words."""
    def __init__(self):
        self.seen = []
    def fit(self, n):
        """Words."""
        for x in numbers(n):  # a comment
            time.sleep(0.02)
            self.seen.append(x)
            note("step")
        return len(self.seen)
'''
CELL = """%%checkpointed inner --every 0.05s --budget 90%
model = Model()
for epoch in range(2):
    done = model.fit(15)
(done, sum(model.seen), random.random())
"""
STACKS = stacks()


@pytest.fixture(params=STACKS, ids=list(STACKS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, STACKS[request.param])


def steps(machine: Machine) -> int:
    return machine.lines().count("step")


def run(machine: Machine, setup: str, cell: str = CELL) -> Output:
    with machine.kernel() as kernel:
        for source in (LOAD, setup):
            assert not kernel.run(source).error
        done = kernel.run(cell)
        if done.error:
            assert kernel.run("'model' in globals()").value == "False", "nothing is restored where it is refused"
    done.error = re.sub(r"\x1b\[[0-9;]*m", "", done.error)
    return done


def test_an_edited_running_function_is_refused_in_one_line_and_an_undone_edit_goes_on(machine: Machine, tmp_path: Path) -> None:
    expected = run(Machine(tmp_path / "whole", machine.python), SETUP)
    assert not expected.error, expected.error
    with machine.kernel() as kernel:
        for source in (LOAD, SETUP):
            assert not kernel.run(source).error
        assert kernel.run(CELL, kill_when=lambda: steps(machine) >= 20).died
    begun = steps(machine)
    looped = SETUP.replace("        return len", "        for k in range(2):\n            pass\n        return len")
    for setup, cell, words in (
        (SETUP.replace("append(x)", "append(-x)"), CELL, "its code was changed; --resume goes on in the changed code"),
        (looped, CELL.replace("--every", "--resume --every"), "it has other loops, calls or blocks now"),
        (SETUP.replace("yield i +", "yield 2 * i +"), CELL, "numbers()"),
    ):
        asked = run(machine, setup, cell)
        assert "FunctionChanged" in asked.error and words in asked.error and "--fresh" in asked.error, asked.error
        assert "Traceback" not in asked.error and len(asked.error.splitlines()) == 1
    worded = SETUP.replace('"""Words."""', '"""Others."""').replace("# a comment", "# another")
    done = run(machine, worded)
    assert not done.error, done.error
    assert done.value == expected.value
    assert steps(machine) - begun < 30, "it began again instead of going on"
    assert [int(line.split()[2]) for line in machine.lines() if line.startswith("event Resumed")] == [3]


BUILDERS = """
n = 2
def third():
    # a comment
    return n * 3
builders = {"one": lambda: n + 1, "two": lambda: n * 2, "three": third}
del third
"""


@pytest.mark.parametrize("history", [True, False])
def test_functions_that_a_finished_cell_left_are_the_ones_that_the_notebook_has(machine: Machine, history: bool) -> None:
    cells = (
        "%load_ext colab_guard",
        BUILDERS,
        "%%checkpointed first\nmade = {}\nfor name, build in builders.items():\n    made[name] = build()",
        "%%checkpointed second\nfor name in made:\n    made[name] += builders[name]()",
        "import inspect, linecache\nlinecache.checkcache()\n(made, [inspect.getsource(build) for build in builders.values()][1:])",
    )
    for _ in range(3):
        with machine.kernel() as kernel:
            ran = [kernel.run(cell, history=history) for cell in cells]
            assert [one.error for one in ran] == [""] * len(cells)
            assert "'three': 12" in ran[-1].text + ran[-1].value and "# a comment" in ran[-1].text + ran[-1].value
