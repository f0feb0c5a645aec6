"""A cell that is mirrored to a URL: the kernel killed, the local store gone, gone on from the URL."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.kernels.harness import Machine

pytest.importorskip("fsspec")

SETUP = """
%load_ext colab_guard
import os, random, time
from colab_guard.session import current
def note(line):
    with open(os.environ["SIDE"], "a") as side:
        side.write(line + "\\n")
def hear(event, at):
    note(f"event {type(event).__name__} {getattr(event, 'depth', '')} {getattr(event, 'proof', '')}")
current().bus.subscribe(hear)
"""
CELL = """%%checkpointed far --every 0.2s --budget 90% --mirror-every 0.1s --to WHERE
import random, time
random.seed(1)
values = []
for step in range(60):
    values.append(random.random())
    note(f"step {step}")
    time.sleep(0.03)
print("RESULT", sum(values), random.random())
"""


def sent(machine: Machine, count: int) -> bool:
    return sum(line.startswith("event SnapshotSent") for line in machine.lines()) >= count


def result(machine: Machine, where: str, kill_after: int | None = None, more: str = "") -> str:
    with machine.kernel() as kernel:
        assert not kernel.run(SETUP).error
        cell = CELL.replace("WHERE", where + more)
        before = sum(line.startswith("event SnapshotSent") for line in machine.lines())
        kill_when = None if kill_after is None else lambda: sent(machine, before + kill_after)
        done = kernel.run(cell, kill_when=kill_when)
        assert not done.error, done.error
        return "" if done.died else done.text[done.text.index("RESULT") :].splitlines()[0]


def test_the_machine_is_lost_and_the_cell_goes_on_from_the_url(tmp_path: Path) -> None:
    expected = result(Machine(tmp_path / "plain"), f"'file://{tmp_path}/plain far'")
    machine = Machine(tmp_path / "machine")
    where = f"'file://{tmp_path}/far'"
    for _ in range(2):
        assert result(machine, where, kill_after=3) == ""
        shutil.rmtree(machine.home)
        machine.__post_init__()
    assert result(machine, where) == expected
    resumed = [line for line in machine.lines() if line.startswith("event Resumed")]
    assert len(resumed) == 2 and all(line.split()[2] == "1" for line in resumed)
    assert not any(line.startswith("event SnapshotDurable") for line in machine.lines()), "a file:// URL proves nothing"


def test_what_dies_with_the_process_is_sent_and_never_durable(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert result(machine, "memory://far").startswith("RESULT")
    assert sent(machine, 1) and not any("SnapshotDurable" in line for line in machine.lines())


def test_a_second_kernel_with_a_store_of_its_own_is_told_who_writes_the_mirror(tmp_path: Path) -> None:
    first, second = Machine(tmp_path / "first"), Machine(tmp_path / "second")
    slow = tmp_path / "slow"
    slow.touch()
    cell = CELL.replace("time.sleep(0.03)", f"time.sleep(2.0 if os.path.exists('{slow}') else 0.01)")
    cell = cell.replace("WHERE", f"file://{tmp_path}/far")
    with first.kernel() as one, second.kernel() as two:
        assert not one.run(SETUP).error and not two.run(SETUP).error
        one.client.execute(cell)
        until = time.monotonic() + 60
        while not sent(first, 2) and time.monotonic() < until:
            time.sleep(0.05)
        refused = two.run(cell)
        assert "is being written by another process of this machine (" in refused.text and "--take-over" in refused.text
        slow.unlink()
        taken = two.run(cell.replace("--to", "--take-over --to"))
        assert not taken.error and "RESULT" in taken.text, taken.error or taken.text
        assert any(line.startswith("event Resumed") for line in second.lines())
