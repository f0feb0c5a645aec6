"""An edited notebook in real kernels, each with its own hash seed: no false alarm, and every edit named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kernels.harness import NOTES, Machine, Output, RunningKernel, stacks

LOAD = "%load_ext colab_guard" + NOTES + """
import os, random, time, uuid
current().bus.subscribe(lambda event, at: note(f"event {type(event).__name__} {getattr(event, 'depth', '')} {getattr(event, 'changes', '')}"))
"""
SETUP = """
import collections, dataclasses, functools
learning_rate = 0.001
letters = {"a", "b", "c", "d", "e"}
order = {letter: number for number, letter in enumerate(letters)}   # in another order in each kernel
run_id, started = uuid.uuid4().hex, time.time()
@dataclasses.dataclass
class Config:
    width: int = 8
    names: frozenset = frozenset({"x", "y", "z"})
    def size(self):
        '''Words.'''
        return self.width * len(self.names)
config = Config()
cache = functools.lru_cache(lambda n: n + 1)
table = collections.Counter("abracadabra")
history = []
def step(epoch, rate=learning_rate):
    # a comment
    return epoch * rate * config.size() + cache(epoch) + len(order)
"""
CELL = """%%checkpointed edited --every 0.05s --budget 90%
for epoch in range(30):
    time.sleep(0.02)
    history.append(step(epoch) + table["a"])
    note(f"step {epoch}")
(len(history), run_id, started, sorted(order), letters)
"""
STACKS = stacks()


@pytest.fixture(params=STACKS, ids=list(STACKS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, STACKS[request.param])


def steps(machine: Machine) -> int:
    return sum(line.startswith("step") for line in machine.lines())


def set_up(kernel: RunningKernel, setup: str = SETUP) -> None:
    for source in (LOAD, setup):
        done = kernel.run(source)
        assert not done.error, done.error


def lose(machine: Machine, after: int) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        assert kernel.run(CELL, kill_when=lambda: steps(machine) >= after).died


def run(machine: Machine, setup: str, cell: str) -> Output:
    with machine.kernel() as kernel:
        set_up(kernel, setup)
        done = kernel.run(cell)
    done.error = re.sub(r"\x1b\[[0-9;]*m", "", done.error)
    return done


def test_an_edited_notebook_is_asked_about_and_an_unedited_one_is_not(machine: Machine) -> None:
    lose(machine, 12)
    for before, after, words in (
        ("0.001", "0.01", "step(rate): 0.001 → 0.01"),
        ("width: int = 8", "width: int = 9", "config.width: 8 → 9"),
        ("+ cache(epoch)", "- cache(epoch)", "step(): its code changed"),
    ):
        asked = run(machine, SETUP.replace(before, after), CELL)
        assert words in asked.error and "InputChanged" in asked.error, asked.error or asked.text
        assert "Traceback" not in asked.error
    changed = run(machine, SETUP, CELL.replace("table", "order"))
    assert "CellChanged" in changed.error and "became" in changed.error
    begun = steps(machine)
    commented = SETUP.replace("# a comment", "# another").replace("'''Words.'''", "'''Other words.'''")
    done = run(machine, commented, CELL.replace("range(30):", "range(34):  # longer"))
    assert not done.error, done.error
    assert done.value.startswith("(34,")
    assert steps(machine) - begun < 34 - 12 + 12, "it began again instead of going on"
    resumed = [line for line in machine.lines() if line.startswith("event Resumed")]
    assert [line.split()[2] for line in resumed] == ["1"]
    said = [line for line in machine.lines() if line.startswith("event CommittedUsed")]
    assert len(said) == 1 and "run_id" in said[0] and "started" in said[0]
    assert "learning_rate" not in said[0] and "config" not in said[0] and "letters" not in said[0]


def test_the_same_kernel_goes_on_after_an_interrupt_without_a_question(machine: Machine) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        sent: list[bool] = []

        def interrupt() -> bool:
            if not sent and steps(machine) >= 8:
                kernel.manager.interrupt_kernel()
                sent.append(True)
            return False

        assert "saved at" in kernel.run(CELL, kill_when=interrupt).error
        done = kernel.run(CELL)
        assert not done.error, done.error
        assert done.value.startswith("(30,")
        assert steps(machine) == 30
        again = kernel.run(CELL)
        assert not again.error and again.value == done.value
        assert not [line for line in machine.lines() if line.startswith("event CommittedUsed")]
