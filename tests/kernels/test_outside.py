"""State outside the names in real kernels, each with its own hash seed, killed with SIGKILL."""

from __future__ import annotations

import io
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from colab_guard.cli.runner import run_notebook
from tests.kernels.harness import NOTES, Machine, Output, RunningKernel, stacks

LOAD = "%load_ext colab_guard" + NOTES + """
import os, time
current().bus.subscribe(lambda event, at: note(f"event {type(event).__name__} {getattr(event, 'depth', '')} {getattr(event, 'reasons', '')} {getattr(event, 'what', '')}"))
import matplotlib
matplotlib.use("agg")
"""
CELL = """%%checkpointed outside --every 0.05s --budget 90%
import decimal, logging, sys, warnings
import matplotlib.pyplot as plt, numpy as np, pandas as pd
np.seterr(divide="raise")
np.set_printoptions(precision=3)
decimal.getcontext().prec = 40
os.environ["MODE"] = "fast"
os.makedirs("inner", exist_ok=True)
os.chdir("inner")
sys.path.insert(0, os.getcwd())
with open("helper_of_mine.py", "w") as file:
    file.write("count = 0\\ndef tick():\\n    global count\\n    count += 1\\n    return count\\n")
import helper_of_mine
pd.set_option("display.max_rows", 7)
plt.rcParams["lines.linewidth"] = 4.0
logging.getLogger("mine").setLevel(13)
warnings.filterwarnings("ignore", message="from the cell")
plt.figure(5)
open_cells, walked, words = {(0, 0)}, [], {"a", "b", "c", "d", "e"}
out = []
for step in range(30):
    time.sleep(0.02)
    x, y = open_cells.pop()
    walked.append((x, y))
    open_cells |= {(x + 1, y), (x, y + 2), (x + step, y)}
    plt.plot([step, step + 1])
    out.append(helper_of_mine.tick())
    note(f"step {step}")
(out[-1], walked, np.geterr()["divide"], np.get_printoptions()["precision"], decimal.getcontext().prec, os.environ["MODE"],
 os.path.basename(os.getcwd()), pd.get_option("display.max_rows"), plt.rcParams["lines.linewidth"], logging.getLogger("mine").level,
 len(plt.gca().lines), plt.get_fignums(), warnings.filters[0][0], sorted(words))
"""
STACKS = stacks()


@pytest.fixture(params=STACKS, ids=list(STACKS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, STACKS[request.param])


def steps(machine: Machine) -> int:
    return sum(line.startswith("step") for line in machine.lines())


def saved(machine: Machine) -> int:
    return sum(line.startswith("event SnapshotSaved") for line in machine.lines())


def finish(kernel: RunningKernel) -> Output:
    assert not kernel.run(LOAD).error
    done = kernel.run(CELL)
    assert not done.error, done.error
    return done


def test_what_the_cell_changed_outside_its_names_holds_in_the_next_kernel(machine: Machine, tmp_path: Path) -> None:
    whole = Machine(tmp_path / "whole", machine.python)
    with whole.kernel() as kernel:
        expected = finish(kernel).value
    for target in (9, 20):
        with machine.kernel() as kernel:
            kernel.run(LOAD)
            assert kernel.run(CELL, kill_when=lambda target=target: steps(machine) >= target).died
    with machine.kernel() as kernel:
        assert finish(kernel).value == expected
    lines = machine.lines()
    resumed = [line for line in lines if line.startswith("event Resumed")]
    # the first commit may be one between statements, before the loop
    assert len(resumed) == 2 and resumed[-1].startswith("event Resumed 1")
    assert steps(machine) < 60, "it began again instead of going on"
    told = [line for line in lines if line.startswith(("event NotBitExact", "event NotKept"))]
    assert told and all("words" in line for line in told), "texts in a set, and nothing else"


DYING = """%%checkpointed seeds --every 0.05s --budget 90%
import os, signal, time
words = {str(number) for number in range(12)}
order = []
for step in range(20):
    time.sleep(0.02)
    order.append("".join(sorted(words, key=lambda word: 0)))
    if step == 12 and not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
print("orders", len(set(order)), "seed", os.environ["PYTHONHASHSEED"])
"""


def test_an_unattended_notebook_has_one_order_of_texts_in_all_its_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    path = tmp_path / "a.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("%load_ext colab_guard"), new_code_cell(DYING)]), path)
    said = io.StringIO()
    assert run_notebook(path, out=said) == 0, said.getvalue()
    assert "the kernel died" in said.getvalue()
    assert "orders 1 seed 0" in said.getvalue()
