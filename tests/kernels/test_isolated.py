"""`Sweep(..., isolate=True)` in real kernels: processes that are killed for memory, or otherwise, or with their kernel."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.harness import Machine, Output, RunningKernel, stacks

STACKS = stacks()
STEPS = 12
STEP_S = 0.05
SETUP = f"""
%load_ext colab_guard
import glob, os, resource, signal, time
from colab_guard import Sweep, grid
def note(line):
    with open(os.environ["SIDE"], "a") as side:
        side.write(line + "\\n")
def wait():
    while not glob.glob(os.environ["COLAB_GUARD_HOME"] + "/run/commits/*"):
        time.sleep(0.01)  # what is to be lost at most is what came after a commit
def fill():
    wait()
    return b"x" * (3 << 30)  # no loop, so no safe point
def train(run):
    kind = run.params["kind"]
    note(f"process {{kind}} {{os.getpid()}}")
    print("begins", kind)
    total = 0
    for step in range({STEPS}):
        total += step
        run.log(step=step, total=total)
        time.sleep({STEP_S})
        note(f"step {{kind}} {{step}}")
        met = os.environ["SIDE"] + ".met"
        if step == 5 and kind == "second":
            wait()
        if step == 8 and kind == "hungry":
            fill()
        if step == 8 and kind == "once" and not os.path.exists(met):
            open(met, "w").close()
            fill()
        if step == 8 and kind == "limited":
            resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
            b"x" * (3 << 30)
        if step == 8 and kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if step == 8 and kind == "broken":
            raise ValueError("no luck")
    run.save({{"total": total}}, "total.json")
"""
PLAIN = """
sweep = Sweep("plain", grid(kind=["killed", "broken", "limited", "good"]), isolate=True)
for run in sweep:
    with run:
        run.do(train)
for run in sweep.runs:
    print("RUN", run.label, run.status, run.metrics.get("total"), run.saved(), run.error)
print(sweep[1].traceback)
"""
GUARDED = """%%checkpointed apart --every 0.1s --budget 90%
for run in sweep:
    run.do(train)
for run in sweep.runs:
    print("RUN", run.label, run.status, run.metrics.get("total"), run.saved(), run.error)
"""
TOTAL = sum(range(STEPS))
GOOD = f"done {TOTAL} ['total.json']"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def ran(kernel: RunningKernel, code: str) -> Output:
    done = kernel.run(code)
    assert not done.error, done.error
    return done


def told(done: Output) -> dict[str, str]:
    """What is printed of each run at the end."""
    found = re.findall(r"^RUN (\w+) (.*)$", done.text, re.M)
    assert found, done.text
    return dict(found)


def steps(machine: Machine, kind: str) -> list[int]:
    return [int(line.rpartition(" ")[2]) for line in machine.lines() if line.startswith(f"step {kind} ")]


def processes(machine: Machine, kind: str) -> list[int]:
    return [int(line.rpartition(" ")[2]) for line in machine.lines() if line.startswith(f"process {kind} ")]


def is_there(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.fixture
def small_group(machine: Machine) -> Iterator[Path]:
    """A control group of 700 MiB."""
    for top in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        group = top / f"colab_guard-test-{os.getpid()}"
        limit = group / ("memory.limit_in_bytes" if top.name == "memory" else "memory.max")
        try:
            group.mkdir()
            limit.write_text(str(700 * 2**20))
        except OSError:
            if group.exists():
                group.rmdir()
            continue
        yield group
        deadline = time.monotonic() + 10
        while (group / "cgroup.procs").read_text().strip() and time.monotonic() < deadline:
            time.sleep(0.1)
        group.rmdir()
        return
    pytest.skip("no memory cgroup may be made here")


def test_a_run_that_fails_or_dies_is_marked_with_its_cause_and_the_next_one_begins(machine: Machine) -> None:
    with machine.kernel() as kernel:
        ran(kernel, SETUP)
        done = ran(kernel, PLAIN)
        runs = told(done)
        wrong = kernel.run('for run in Sweep("wrong", grid(kind=["first", "second"]), isolate=True):\n    pass')
    assert "write run.do(train) in the loop" in wrong.error
    assert runs["good"].startswith(GOOD)
    assert "its process was killed (SIGKILL)" in runs["killed"] and "out of memory" not in runs["killed"]
    assert "ValueError: no luck" in runs["broken"]
    assert "out of memory: MemoryError" in runs["limited"]
    assert 'raise ValueError("no luck")' in done.text, "the traceback is the one of there"
    assert done.text.index("begins killed") < done.text.index("begins good"), "output is shown"
    assert not any(is_there(pid) for kind in runs for pid in processes(machine, kind))


def test_the_system_kills_the_run_and_not_the_kernel_and_at_most_the_last_commit_is_lost(machine: Machine, small_group: Path) -> None:
    with machine.kernel() as kernel:
        ran(kernel, f"import os; open('{small_group}/cgroup.procs', 'w').write(str(os.getpid()))")
        ran(kernel, SETUP)
        ran(kernel, 'sweep = Sweep("oom", grid(kind=["once", "hungry", "good"]), isolate=True)')
        done = ran(kernel, GUARDED)
        runs = told(done)
    assert runs["once"].startswith(GOOD), done.text
    assert runs["hungry"].startswith("failed") and "out of memory: the system killed its process" in runs["hungry"]
    assert runs["good"].startswith(GOOD)
    for kind in ("once", "hungry"):
        twice = len(steps(machine, kind)) - len(set(steps(machine, kind)))
        assert len(processes(machine, kind)) == 1, "it went on inside the function"
        assert twice <= 8 and steps(machine, kind).count(0) == 1, f"{twice} steps were done twice"


@pytest.mark.parametrize("stack", [name for name in STACKS if name in ("this", "colab311")])
def test_the_process_dies_with_its_kernel_and_the_next_kernel_goes_on_inside_the_run(tmp_path: Path, stack: str) -> None:
    machine = Machine(tmp_path, STACKS[stack])
    define = 'sweep = Sweep("killed", grid(kind=["first", "second"]), isolate=True)'
    with machine.kernel() as kernel:
        ran(kernel, SETUP)
        ran(kernel, define)
        assert kernel.run(GUARDED, kill_when=lambda: len(steps(machine, "second")) >= 7).died
        pid = processes(machine, "second")[-1]
        deadline = time.monotonic() + 10
        while is_there(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_there(pid), "it outlives its kernel"
    with machine.kernel() as kernel:
        ran(kernel, SETUP)
        ran(kernel, define)
        done = ran(kernel, GUARDED)
    assert all(end.startswith(GOOD) for end in told(done).values())
    assert steps(machine, "first") == list(range(STEPS)), "a finished run is not run again"
    assert len(processes(machine, "second")) == 1 and steps(machine, "second").count(0) == 1, "it went on inside the function"


def test_an_interrupt_saves_and_stops_the_run_and_the_cell_goes_on_inside_it(machine: Machine) -> None:
    with machine.kernel() as kernel:
        ran(kernel, SETUP)
        ran(kernel, 'sweep = Sweep("stopped", grid(kind=["first"]), isolate=True)')
        pressed: list[int] = []

        def press() -> bool:
            if len(steps(machine, "first")) >= 4 and not pressed:
                pressed.append(1)
                kernel.manager.signal_kernel(signal.SIGINT)
            return False

        stopped = kernel.run(GUARDED, kill_when=press)
        assert "KeyboardInterrupt" in stopped.error, stopped.text
        done = len(steps(machine, "first"))
        assert done < STEPS
        again = ran(kernel, GUARDED)
        assert told(again)["first"].startswith(GOOD)
        assert steps(machine, "first") == list(range(STEPS)), "no step is lost or done twice"
        fresh = GUARDED.replace("budget 90%", "budget 90% --fresh")
        pressed.clear()
        machine.side.write_text("")
        assert "KeyboardInterrupt" in kernel.run(fresh, kill_when=press).error
        machine.side.write_text("")
        ran(kernel, fresh)
        assert steps(machine, "first") == list(range(STEPS)), "--fresh begins the run again, each time"

