"""The interrupt button in real kernels: once saves and stops, twice stops at once, and the same cell goes on."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernels.harness import Machine, Output, RunningKernel, stacks

SETUP = """
%load_ext colab_guard
import asyncio, os, random, signal, time
from colab_guard.session import interrupt
interrupt.PATIENCE_S = 0.6
def note(line):
    with open(os.environ["SIDE"], "a") as side:
        side.write(line + "\\n")
def handler():
    return signal.getsignal(signal.SIGINT)
def train(n):
    out = []
    for i in range(n):
        time.sleep(0.03)
        out.append(random.random())
        note(f"step {i}")
    return out
before = handler()
random.seed(5)
"""
OPTIONS = "--every 1h --budget 90%"
STACKS = stacks()


@pytest.fixture(params=STACKS, ids=list(STACKS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, STACKS[request.param])


def set_up(kernel: RunningKernel) -> None:
    loaded = kernel.run(SETUP)
    assert not loaded.error, loaded.error


def pressed(kernel: RunningKernel, machine: Machine, code: str, *after: str) -> tuple[Output, list[float]]:
    """Run `code` and press the button once each of the lines `after` is in the side file; the times since each press."""
    presses: list[float] = []

    def press() -> bool:
        # a second press comes a little later than the first: two of the same moment would be one
        if len(presses) < len(after) and after[len(presses)] in machine.lines() and (not presses or time.monotonic() - presses[-1] > 0.3):
            kernel.manager.interrupt_kernel()
            presses.append(time.monotonic())
        return False

    found = kernel.run(code, kill_when=press, limit_s=60)
    assert len(presses) == len(after), "it ended before the button was pressed"
    return found, [time.monotonic() - at for at in presses]


def plain(output: Output) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", output.error)


def whole(machine: Machine, folder: Path, cell: str) -> str:
    other = Machine(folder / "whole", machine.python)
    with other.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(cell)
        assert not done.error, done.error
        return done.value


def goes_on(machine: Machine, cell: str, expected: str, steps: int, twice: int = 0) -> None:
    """In a new kernel the same cell ends with the same bits, and `twice` steps at most are done again."""
    with machine.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(cell)
        assert not done.error, done.error
        assert done.value == expected
    assert steps <= len([line for line in machine.lines() if line.startswith("step")]) <= steps + twice


CELLS = {
    "a loop of the cell": "out = []\nfor i in range(30):\n    time.sleep(0.03)\n    out.append(random.random())\n    note(f'step {i}')\nsum(out)",
    "a function": "result = train(30)\nsum(result)",
    "a loop that catches the button": (
        "out = []\ntry:\n    for i in range(30):\n        time.sleep(0.03)\n        out.append(random.random())\n        note(f'step {i}')\n"
        "except KeyboardInterrupt:\n    out.append(1000)\nfinally:\n    out.append(1)\nsum(out)"
    ),
    "a loop that catches everything": (
        "out = []\nfor i in range(30):\n    try:\n        for j in range(2):\n            time.sleep(0.02)\n            out.append(random.random())\n"
        "    except:\n        out.append(1000)\n    note(f'step {i}')\nsum(out)"
    ),
    "a loop that awaits": "out = []\nfor i in range(30):\n    await asyncio.sleep(0.03)\n    out.append(random.random())\n    note(f'step {i}')\nsum(out)",
}


@pytest.mark.parametrize("name", CELLS)
def test_pressed_once_the_step_is_finished_and_saved_and_the_same_cell_goes_on(machine: Machine, tmp_path: Path, name: str) -> None:
    cell = f"%%checkpointed work {OPTIONS}\n{CELLS[name]}"
    expected = whole(machine, tmp_path, cell)
    with machine.kernel() as kernel:
        set_up(kernel)
        stopped, _ = pressed(kernel, machine, cell, "step 12")
        assert "Stopped: work is saved at" in plain(stopped), plain(stopped)
        assert "Traceback" not in plain(stopped)
        assert "Finishing the step, then saving and stopping" in stopped.text
        assert kernel.run("handler() is before").value == "True", "the handler from before is not back"
    # code that catches everything runs on to its next safe point; the commit is from before
    goes_on(machine, cell, expected, 30, twice="everything" in name)


LONG = f"%%checkpointed work {OPTIONS}\nout = []\nfor i in range(3):\n    note(f'step {{i}}')\n    for _ in [0]:\n        time.sleep(2.5)\n    out.append(i)\nout"


def test_where_the_step_is_long_a_second_press_is_offered_and_the_step_is_finished(machine: Machine) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        stopped, took = pressed(kernel, machine, LONG, "step 1")
        assert "Still in the step after" in stopped.text, stopped.text
        assert "interrupt again" in stopped.text
        assert "is saved at" in stopped.error
        assert took[0] > 1
    goes_on(machine, LONG, "[0, 1, 2]", 3)


def test_a_second_press_stops_at_once(machine: Machine) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        stopped, took = pressed(kernel, machine, LONG.replace("2.5", "20"), "step 0", "step 0")
        assert "KeyboardInterrupt: stopped at once" in plain(stopped), plain(stopped)
        assert "time.sleep(20)" in plain(stopped), "the traceback shows the user's line"
        assert "colab_guard" not in plain(stopped).replace("colab_guard/session/interrupt.py", ""), plain(stopped)
        assert took[1] < 10
        assert kernel.run("handler() is before").value == "True"


AT_ONCE = {
    "sleeps outside loops": "note('step 0')\ntime.sleep(30)",
    "a library's loop": "def slow(x):\n    for i in range(300):\n        time.sleep(0.1)\n    return x\nnote('step 0')\nlist(map(slow, [1, 2]))",
    "awaits outside loops": "note('step 0')\nawait asyncio.sleep(30)",
    "input": "for i in range(3):\n    note(f'step {i}')\n    x = input('?')",
}


@pytest.mark.parametrize("name", AT_ONCE)
def test_where_no_safe_point_lies_ahead_the_first_press_stops(machine: Machine, name: str) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        stopped, took = pressed(kernel, machine, f"%%checkpointed work {OPTIONS}\n{AT_ONCE[name]}", "step 0")
        assert "KeyboardInterrupt" in stopped.error
        assert took[0] < 6, f"it took {took[0]:.1f} s"
        assert kernel.run("handler() is before").value == "True"
        assert kernel.run("1 + 1").value == "2"


def test_code_that_catches_the_second_press_goes_on(machine: Machine) -> None:
    cell = (
        f"%%checkpointed work {OPTIONS}\nout = []\ntry:\n    for i in range(4):\n        note(f'step {{i}}')\n        time.sleep(2)\n"
        "except KeyboardInterrupt:\n    out.append('caught')\nfor i in range(5):\n    out.append(i)\nout"
    )
    with machine.kernel() as kernel:
        set_up(kernel)
        done, _ = pressed(kernel, machine, cell, "step 0", "step 0")
        assert not done.error, done.error
        assert done.value == "['caught', 0, 1, 2, 3, 4]"


def test_an_error_in_the_cell_puts_the_old_handler_back(machine: Machine) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        assert "ZeroDivisionError" in kernel.run("%%checkpointed work\nfor i in range(3):\n    1 / 0").error
        assert kernel.run("handler() is before").value == "True"
        stuck = "import threading\n[t.name for t in threading.enumerate() if t.name == 'colab_guard-interrupts']"
        assert kernel.run(stuck).value == "[]"


def notebook(machine: Machine, cells: list[str], timeout_s: int | None = None) -> tuple[str, Callable[[], str]]:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(book, timeout=timeout_s, interrupt_on_timeout=True, resources={"metadata": {"path": str(machine.work)}})
    error = ""
    try:
        client.execute(env=machine.environment())
    except Exception as raised:  # CellExecutionError, or the time limit
        error = f"{type(raised).__name__}: {raised}"
    return error, lambda: "".join(out.get("text", "") for out in book.cells[-1].outputs)


def test_nbclient_that_interrupts_after_its_time_limit_leaves_a_saved_cell(machine: Machine) -> None:
    if machine.python != STACKS["this"]:
        pytest.skip("nbclient starts this environment's kernels")
    cell = f"%%checkpointed work {OPTIONS}\nout = []\nfor i in range(60):\n    time.sleep(0.1)\n    out.append(random.random())\n    note(f'step {{i}}')\nprint(len(out), sum(out))"
    error, _ = notebook(machine, [SETUP, cell], timeout_s=3)
    assert error
    passed = len(machine.lines())
    assert 0 < passed < 60
    error, text = notebook(machine, [SETUP, cell])
    assert not error, error
    assert text().split()[0] == "60"
    assert len(machine.lines()) == 60, "it went on where it was"


def test_pressed_once_a_trainer_finishes_its_step_is_saved_and_goes_on(machine: Machine, tmp_path: Path) -> None:
    if machine.python != STACKS["this"]:
        pytest.skip("the other stacks have no transformers")
    pytest.importorskip("transformers")
    from tests.training.harness import SETUP as TRAINING

    cell = (
        "class Slow(TrainerCallback):\n    def on_step_end(self, args, state, control, **more):\n"
        "        time.sleep(0.2)\n        note(f'step {state.global_step}')\n"
        "trainer = Trainer(vit(), arguments(max_steps=12), train_dataset=Digits(0, 64, True), callbacks=[Slow()])\n"
        "trainer.train()\nsum(float(p.detach().double().sum()) for p in trainer.model.parameters())"
    )
    cell = f"%%checkpointed work {OPTIONS}\n{cell}"

    def prepared(kernel: RunningKernel) -> None:
        set_up(kernel)
        loaded = kernel.run(TRAINING)
        assert not loaded.error, plain(loaded)

    with Machine(tmp_path / "whole", machine.python).kernel() as kernel:
        prepared(kernel)
        expected = kernel.run(cell).value
    with machine.kernel() as kernel:
        prepared(kernel)
        stopped, _ = pressed(kernel, machine, cell, "step 5")
        assert "Stopped: work is saved at" in plain(stopped), plain(stopped)
        done = len(machine.lines())
        assert kernel.run(cell).value == expected
    assert done < 12 and len(machine.lines()) == 12, "no step was lost or done twice"
