"""The watch in real kernels: a growing loop is stopped in time, and a killed kernel's end is told to the next one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.kernels.harness import Machine, pythons
from tests.memory.groups import NotPermitted
from tests.memory.growing import one

STACKS = [pytest.param(path, id=name) for name, path in pythons().items() if name in ("this", "colab311")]


@pytest.mark.parametrize("python", STACKS)
def test_a_loop_that_grows_is_stopped_before_the_limit_and_what_was_saved_stays(tmp_path: Path, python: str) -> None:
    found = one(tmp_path, python=python)
    assert found.stopped, found
    assert found.levels[-1] == "last", "a fast one may come to it at once"
    assert found.lost_s < found.interval_s + 2.0, "no more than one interval and what one write takes is lost"


def test_under_a_real_cgroup_it_is_stopped_before_the_system_kills(tmp_path: Path) -> None:
    try:
        found = one(tmp_path, in_group=True)
    except NotPermitted as reason:
        pytest.skip(f"no memory cgroup can be made here: {reason}")
    assert found.stopped, found


CATCHES = """
%load_ext colab_guard
exec('''
from colab_guard.session import current
from colab_guard.hosts import FakeProbe
memory = current(shell).memory
memory.probe = FakeProbe(limit=100, used=10)
shell.probe = memory.probe
''', {"shell": get_ipython()})
%memguard 0.85
"""
AWAITS = """%%checkpointed waits
import asyncio
for step in range(10_000):
    await asyncio.sleep(0.01)
    if step == 5:
        get_ipython().probe.used = 99
"""
AFTERWARDS = """
import time
ended = time.monotonic() + 1.5
while time.monotonic() < ended:
    pass
print("untouched")
"""


def test_a_cell_that_awaits_is_ended_too_and_nothing_is_raised_after_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with machine.kernel() as kernel:
        kernel.run(CATCHES)
        assert "HostMemoryPressure" in kernel.run(AWAITS, limit_s=30).error
        assert kernel.run(AFTERWARDS).text == "untouched\n"
        assert kernel.run("import threading; [t.name for t in threading.enumerate() if t.name == 'colab_guard-cell']").value == "[]"


STEPS = 600
"""So many take three seconds: snapshots are taken, and the sentinel is told."""
DYING = """%%checkpointed job --every 0.2s --budget 90%
import time
for step in range(100_000):
    time.sleep(0.005)
    open(__import__("os").environ["SIDE"], "a").write("x")
"""


@pytest.mark.parametrize("python", STACKS)
def test_the_kernel_after_a_killed_one_says_how_it_ended_and_what_it_was_at(tmp_path: Path, python: str) -> None:
    machine = Machine(tmp_path, python)
    with machine.kernel() as kernel:
        assert "last kernel" not in kernel.run("%load_ext colab_guard").text
        assert kernel.run(DYING, kill_when=lambda: os.path.getsize(machine.side) > STEPS).died
        while kernel.manager.is_alive():
            time.sleep(0.05)
    with machine.kernel() as kernel:
        text = told(kernel.run("%load_ext colab_guard").text)
        assert text[0].startswith("The last kernel here was killed by SIGKILL") or "without a word" in text[0]
        assert "out of memory" not in text[0]
        assert text[1].startswith("It was at work on job") and "saved: iteration" in text[1]
        kernel.manager.shutdown_kernel()
    with machine.kernel() as kernel:
        kernel.run("%load_ext colab_guard")
        kernel.run("%memguard 0.85")
        time.sleep(2)
        kernel.manager.shutdown_kernel()
    with machine.kernel() as kernel:
        assert told(kernel.run("%load_ext colab_guard").text) == [], "a kernel that ended as it should came after it"


def told(text: str) -> list[str]:
    """The lines about the kernel before."""
    return text.splitlines()[1:]
