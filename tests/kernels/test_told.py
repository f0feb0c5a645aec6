"""What is told before, during and after work in real kernels; cells that await are killed and resumed inside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kernels.harness import NOTES, Machine, Output, RunningKernel, stacks

LOAD = "%load_ext colab_guard" + NOTES + """
import asyncio, os, random, threading, time
current().bus.subscribe(lambda event, at: note(f"event {type(event).__name__} {getattr(event, 'depth', '')}"))
"""
SETUP = """
random.seed(11)
rate = 0.25
async def work(n, out):
    for i in range(n):
        await asyncio.sleep(0.02)
        out.append((i, rate * random.random()))
        note(f"step {i}")
    return len(out)
"""
AWAITS = """%%checkpointed awaits --every 0.05s --budget 90%
out = []
for k in range(3):
    await asyncio.sleep(0.01)
    total = await work(12, out)
(total, out[-1], random.random())
"""
GATHERED = """%%checkpointed gathered --every 0.05s --budget 90%
out = []
both = await asyncio.gather(work(4, out), work(4, out))
sorted(both)
"""
REFUSED = """%%checkpointed refused --every 0.05s --budget 90%
held = threading.Thread(target=print)
for i in range(30):
    time.sleep(0.01)
    held.name
held = None
"""
STACKS = stacks()


@pytest.fixture(params=STACKS, ids=list(STACKS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, STACKS[request.param])


def set_up(kernel: RunningKernel) -> None:
    for source in (LOAD, SETUP):
        done = kernel.run(source)
        assert not done.error, done.error


def shown(output: Output) -> str:
    """The text of everything that a cell displayed, the newest state of each display."""
    kinds = ("display_data", "update_display_data")
    return "\n".join(m["content"]["data"].get("text/plain", "") for m in output.messages if m["msg_type"] in kinds)


def steps(machine: Machine) -> int:
    return sum(line.startswith("step") for line in machine.lines())


def test_explain_prints_a_short_table_and_writes_nothing(machine: Machine) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(AWAITS.replace("--every", "--explain --every"))
        assert not done.error, done.error
        lines = done.text.splitlines()
        assert lines[0] == "awaits: explained; nothing was run, and nothing was written"
        assert len(lines) <= 25 and max(map(len, lines)) <= 100
        words = re.sub(r"\s+", " ", done.text)
        assert "line 3: `for k in range(3)`: a safe point at each iteration" in words
        assert "in work(): `for i in range(n)`: a safe point at each iteration" in words
        assert "rate = 0.25" in words
        assert not done.value and steps(machine) == 0
        assert not kernel.run("assert 'out' not in globals()").error
    assert not list(machine.home.rglob("*")) and not list(machine.work.rglob("*"))


def test_a_cell_that_awaits_is_resumed_inside_with_the_same_result(machine: Machine, tmp_path: Path) -> None:
    whole = Machine(tmp_path / "whole", machine.python)
    with whole.kernel() as kernel:
        set_up(kernel)
        expected = kernel.run(AWAITS)
        assert not expected.error, expected.error
    for after in (8, 20):
        with machine.kernel() as kernel:
            set_up(kernel)
            assert kernel.run(AWAITS, kill_when=lambda least=after: steps(machine) >= least).died
    with machine.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(AWAITS)
    assert not done.error, done.error
    assert done.value == expected.value
    depths = [int(line.split()[2]) for line in machine.lines() if line.startswith("event Resumed")]
    assert len(depths) == 2 and max(depths) >= 3, "inside the coroutine's loop, inside the cell's"
    assert steps(machine) < steps(whole) + 2 * 12


def test_what_has_no_safe_point_is_shown_before_it_runs_and_what_was_refused_after(machine: Machine) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(GATHERED)
        assert not done.error, done.error
        first = next(m["content"]["data"]["text/plain"] for m in done.messages if m["msg_type"] == "display_data")
        assert "no safe point: line 4 in work(): `for i in range(n)`: no safe points (in a coroutine that does not run alone" in first
        assert "after a loss this cell restarts from its start" in first
        done = kernel.run(REFUSED)
        assert not done.error, done.error
        told = shown(done)
        assert re.search(r"No snapshot for \d+ s: \d+ safe points refused: \d+ times: held \(Thread\)", told), told
        assert re.search(r"refused: \d+ snapshots so far: \d+ times: held \(Thread\)", told)
        assert "Traceback" not in done.text
        status = kernel.run("%guard").text
        assert "the last: refused (done)" in status and "times: held (Thread)" in status


def test_a_cell_of_gathered_coroutines_is_exact_by_starting_again(machine: Machine, tmp_path: Path) -> None:
    whole = Machine(tmp_path / "whole", machine.python)
    with whole.kernel() as kernel:
        set_up(kernel)
        expected = kernel.run(GATHERED)
        drawn = kernel.run("out").value
    with machine.kernel() as kernel:
        set_up(kernel)
        assert kernel.run(GATHERED, kill_when=lambda: steps(machine) >= 5).died
    with machine.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(GATHERED)
        assert not done.error, done.error
        assert done.value == expected.value
        assert kernel.run("out").value == drawn
