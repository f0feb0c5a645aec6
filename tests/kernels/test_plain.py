"""Plain cells in a real kernel, on every stack: killed, resumed inside, ending with the same bits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kernels.harness import NOTES, Machine, RunningKernel, stacks

SETUP = "%load_ext colab_guard" + NOTES + """
import os, random, time
current().bus.subscribe(lambda event, at: note(f"event {type(event).__name__} {getattr(event, 'depth', '')}"))
random.seed(7)
"""
CELL = """%%checkpointed plain --every 0.15s --budget 90%
out, table = [], {}
for epoch in range(6):
    seen = set()
    for step in range(10):
        time.sleep(0.02)
        out.append(random.random())
        seen.add(step)
        table[epoch, step] = out[-1] * epoch
        note(f"step {epoch} {step}")
    out.append(len(seen))
with open("result.txt", "w") as file:
    for value in out:
        file.write(f"{value!r}\\n")
(sum(out), random.random())
"""
STACKS = stacks()


@pytest.fixture(params=STACKS, ids=list(STACKS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, STACKS[request.param])


def steps(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("step")]


def set_up(kernel: RunningKernel) -> None:
    loaded = kernel.run(SETUP)
    assert "colab_guard on" in loaded.text, loaded.error
    assert not loaded.error, loaded.error


def run_to_end(machine: Machine) -> str:
    with machine.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(CELL)
        assert not done.error, done.error
        return done.value


def test_a_cell_killed_three_times_resumes_inside_and_ends_with_the_same_bits(machine: Machine, tmp_path: Path) -> None:
    whole = Machine(tmp_path / "whole", machine.python)
    expected = run_to_end(whole)
    for target in (15, 27, 39):  # after a commit in the loop, and so early that a loaded machine is not too late
        with machine.kernel() as kernel:
            set_up(kernel)
            killed = kernel.run(CELL, kill_when=lambda target=target: len(set(steps(machine.lines()))) >= target)
            assert killed.died
    assert run_to_end(machine) == expected
    assert (machine.work / "result.txt").read_text() == (whole.work / "result.txt").read_text()
    resumed = [line for line in machine.lines() if line.startswith("event Resumed")]
    assert len(resumed) == 3
    assert all(int(line.split()[-1]) >= 1 for line in resumed), "it began again instead of resuming inside"
    twice = len(steps(machine.lines())) - 60
    assert 0 <= twice <= 3 * 15, f"{twice} steps were done twice"


def test_a_finished_cell_gives_its_results_at_once_in_a_new_kernel(machine: Machine) -> None:
    expected = run_to_end(machine)
    before = len(steps(machine.lines()))
    assert run_to_end(machine) == expected
    assert len(steps(machine.lines())) == before


def test_an_error_fails_the_cell_once_with_its_true_line_and_keeps_what_was_done(machine: Machine) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        failed = kernel.run("%%checkpointed failing\nfor i in range(3):\n    x = i\n    y = 1 / (1 - i)\n")
        plain = re.sub(r"\x1b\[[0-9;]*m", "", failed.error)
        assert plain.count("ZeroDivisionError") == 2, "one heading and one last line"
        assert re.search(r"-+> 4\s+y = 1 / \(1 - i\)", plain), plain
        assert kernel.run("x").value == "1"


def test_loading_and_unloading_leave_nothing_behind(machine: Machine) -> None:
    with machine.kernel() as kernel:
        kernel.run("import threading\nbefore = {t.name for t in threading.enumerate()}")
        loaded = kernel.run("%load_ext colab_guard")
        assert "colab_guard on" in loaded.text and not loaded.error
        kernel.run("%%checkpointed small\nfor i in range(3):\n    pass")
        assert not kernel.run("%unload_ext colab_guard").error
        left = kernel.run("sorted(t.name for t in threading.enumerate() if 'colab_guard' in t.name)")
        assert left.value == "[]"
        assert "not found" in kernel.run("%memguard").text + kernel.run("%memguard").error


def test_loading_imports_nothing_heavy(machine: Machine) -> None:
    with machine.kernel() as kernel:
        assert "colab_guard on" in kernel.run("%load_ext colab_guard").text
        heavy = "[m for m in ('torch', 'transformers', 'matplotlib.pyplot', 'anywidget', 'pandas') if m in sys.modules]"
        assert kernel.run(f"import sys; {heavy}").value == "[]"


def test_the_interrupt_button_saves_and_stops_and_the_cell_goes_on(machine: Machine, tmp_path: Path) -> None:
    expected = run_to_end(Machine(tmp_path / "whole", machine.python))
    with machine.kernel() as kernel:
        set_up(kernel)
        sent: list[bool] = []

        def interrupt() -> bool:
            if not sent and len(steps(machine.lines())) >= 13:
                kernel.manager.interrupt_kernel()
                sent.append(True)
            return False

        stopped = kernel.run(CELL.replace("0.15s", "3600s"), kill_when=interrupt)
        assert "saved at" in stopped.error, stopped.error
    assert run_to_end(machine) == expected
    assert len(steps(machine.lines())) == 60, "an interrupt at a safe point loses no step"


def test_bad_input_is_one_clear_line_and_changes_nothing(machine: Machine) -> None:
    cases = {
        "%memguard 85": "0.85",
        "%%checkpointed\nx = 1": "NAME",
        "%%checkpointed one two\nx = 1": "two",
        "%%checkpointed a --to /proc/nowhere\nx = 1": "--to",
        "%%checkpointed a --every soon\nx = 1": "soon",
        "%%checkpointed a\nfor i in range(:\n    pass": "",
    }
    with machine.kernel() as kernel:
        kernel.run("%load_ext colab_guard")
        for code, word in cases.items():
            said = kernel.run(code)
            shown = re.sub(r"\x1b\[[0-9;]*m", "", said.error + said.text)
            assert shown, f"{code!r} passed"
            assert word in shown, shown
            assert "Traceback" not in shown or "SyntaxError" in shown, shown
    assert list(machine.home.iterdir()) == []


def test_of_a_cell_only_its_widgets_stay_open_until_unload_and_an_error_names_the_cell_that_people_see(machine: Machine) -> None:
    with machine.kernel() as kernel:
        kernel.run("%load_ext colab_guard\n%keepalive")
        failed = kernel.run("%%checkpointed broken\nfor i in range(3):\n    1 / (1 - i)")
        unloaded = kernel.run("%unload_ext colab_guard")
    kinds = [message["msg_type"] for message in failed.messages]
    assert kinds.count("comm_close") > 0
    assert kinds.count("comm_open") == kinds.count("comm_close") + 4, "a page loaded again asks for panel, connection and their layouts"
    assert [message["msg_type"] for message in unloaded.messages].count("comm_close") == 4
    numbers = set(re.findall(r"In ?\[(\d+)\]", re.sub(r"\x1b\[[0-9;]*m", "", failed.error)))
    assert numbers <= {"2"}, failed.error
