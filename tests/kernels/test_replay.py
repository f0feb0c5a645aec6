"""What a front end shows after a loss and a resume, against an uninterrupted run, on every stack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from colab_guard.session.output.folding import folded
from tests.kernels.harness import NOTES, Machine, RunningKernel, stacks

SETUP = "%load_ext colab_guard" + NOTES + """
import os, sys, time
from IPython.display import display, update_display, clear_output, HTML
current().bus.subscribe(lambda event, at: note(f"event {type(event).__name__} {getattr(event, 'depth', '')}"))
"""
CELL = """%%checkpointed shown --every 0.1s --budget 90%
import matplotlib.pyplot as plt, pandas as pd, subprocess, threading
from tqdm import tqdm
print("lost before it was cleared")
display(HTML("lost too"))
clear_output()
print("lost when something else comes")
clear_output(wait=True)
print("head", end="... ")
print("of", "the", "cell")
!echo from a shell
subprocess.run(["echo", "from a child process"])
time.sleep(0.1)
handle = display("first", display_id=True)
for step in tqdm(range(30), desc="training"):
    time.sleep(0.02)
    note(f"step {step}")
    if step % 5 == 0:
        print("step", step, "\\u2588", end=" ")
        print("loss", 1 / (step + 1))
    if step % 7 == 0:
        print("a warning", step, file=sys.stderr)
    if step % 10 == 3:
        display(pd.DataFrame({"step": [step], "loss": [0.5]}))
    if step == 12:
        plt.plot([1, step])
        plt.show()
    if step % 4 == 0:
        handle.update(f"now {step}")
    if step == 14:
        thread = threading.Thread(target=print, args=("from a thread",))
        thread.start()
        thread.join()
        del thread
    if step == 16:
        %time print("timed")
print("all", end="")
print(" done")
display("last", display_id="last")
update_display("the very last", display_id="last")
"the value"
"""
BAR = re.compile(r"training: *\d+%\|[^|]*\| (\d+)/30(?: \[[^\]\n]*\])? *\n?")
STACKS = stacks()


@pytest.fixture(params=STACKS, ids=list(STACKS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, STACKS[request.param])


def front_end(messages: list[dict[str, Any]]) -> tuple[list[Any], list[int]]:
    """The outputs that a front end ends up with: text by stream between displays, and the displays; no panel.

    Progress bars are drawn whenever some time has passed: they stand apart, as the counts that are still to be read.
    """
    bars: list[int] = []
    shown: list[Any] = [{}]
    clear_next = False
    for message in messages:
        kind, content = message["msg_type"], message["content"]
        if kind not in ("stream", "display_data", "update_display_data", "clear_output", "execute_result"):
            continue
        if kind == "clear_output":
            clear_next = content["wait"]
            if not clear_next:
                shown = [{}]
            continue
        if is_panel(content):
            continue
        if kind == "update_display_data":
            for item in shown[1::2]:
                if item["id"] == content["transient"]["display_id"]:
                    item["data"] = content["data"]
            continue
        if clear_next:
            shown, clear_next = [{}], False
        if kind == "stream":
            shown[-1][content["name"]] = shown[-1].get(content["name"], "") + content["text"]
        else:
            shown += [{"data": content["data"], "id": content.get("transient", {}).get("display_id")}, {}]
    for texts in shown[::2]:
        for name, text in texts.items():
            seen = folded(text).replace("\r", "")
            bars += [int(count) for count in BAR.findall(seen)]
            texts[name] = re.sub(r"(CPU times|Wall time):.*", r"\1", BAR.sub("", seen))
        shown[shown.index(texts)] = {name: text for name, text in texts.items() if text.strip()}
    for item in shown[1::2]:
        item["id"] = item["id"] is not None
    return shown, bars


def is_panel(content: dict[str, Any]) -> bool:
    return "safety:" in content.get("data", {}).get("text/plain", "")


def set_up(kernel: RunningKernel) -> None:
    loaded = kernel.run(SETUP)
    assert "colab_guard on" in loaded.text and not loaded.error, loaded.error


def steps(machine: Machine) -> int:
    return len({line for line in machine.lines() if line.startswith("step")})


def resumed(machine: Machine) -> list[int]:
    """How deep each resume went."""
    return [int(line.split()[-1]) for line in machine.lines() if line.startswith("event Resumed")]


def run_to_end(machine: Machine) -> tuple[list[Any], list[int]]:
    with machine.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(CELL)
        assert not done.error, done.error
        return front_end(done.messages)


def test_a_cell_killed_three_times_shows_what_an_uninterrupted_one_shows(machine: Machine, tmp_path: Path) -> None:
    expected, expected_bars = run_to_end(Machine(tmp_path / "whole", machine.python))
    assert str(expected).count("from a child process") == str(expected).count("from a thread") == 1, "the reference has it"
    for target in (12, 20, 27):
        with machine.kernel() as kernel:
            set_up(kernel)
            killed = kernel.run(CELL, kill_when=lambda target=target: steps(machine) >= target)
            assert killed.died
    found, bars = run_to_end(machine)
    assert found == expected
    assert bars == sorted(bars) and bars[-1] == expected_bars[-1] == 30
    assert len(resumed(machine)) == 3 and resumed(machine)[1:] == [1, 1], "it began again instead of resuming inside"
    # and once more, when it is done: all of it, and the value once
    assert run_to_end(machine) == (found, bars)
    assert resumed(machine)[1:] == [1, 1, 0]


FIGURE = """%%checkpointed figure --every 0.1s --budget 90%
import matplotlib.pyplot as plt
plt.figure()
for step in range(20):
    time.sleep(0.03)
    note(f"step {step}")
    plt.plot([step, 1])
"the value"
"""


def test_a_figure_that_is_left_open_is_shown_whole_after_the_value_also_when_the_cell_is_done(machine: Machine, tmp_path: Path) -> None:
    def run(machine: Machine) -> list[Any]:
        with machine.kernel() as kernel:
            set_up(kernel)
            return front_end(kernel.run(FIGURE).messages)[0]

    expected = run(Machine(tmp_path / "whole", machine.python))
    assert "image/png" in expected[3]["data"]
    with machine.kernel() as kernel:
        set_up(kernel)
        assert kernel.run(FIGURE, kill_when=lambda: steps(machine) >= 12).died
    assert run(machine) == expected
    assert run(machine) == expected


WIDGETS = """%%checkpointed widgets --every 0.1s --budget 90%
from tqdm.notebook import tqdm
for step in tqdm(range(5), desc="first"):
    time.sleep(0.03)
for step in tqdm(range(3), desc="passing", leave=False):
    time.sleep(0.03)
for step in tqdm(range(20), desc="second"):
    time.sleep(0.03)
    note(f"step {step}")
print("end")
"""


def test_bars_that_are_widgets_come_back_in_their_place_and_as_text_when_they_are_done(machine: Machine) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        assert kernel.run(WIDGETS, kill_when=lambda: steps(machine) >= 12).died
    with machine.kernel() as kernel:
        set_up(kernel)
        resumed = widgets(kernel.run(WIDGETS).messages)
    assert [(count, alive) for count, alive in resumed] == [("5/5", False), (resumed[1][0], True)]
    assert 1 <= int(resumed[1][0].split("/")[0]) < 20
    with machine.kernel() as kernel:
        set_up(kernel)
        assert widgets(kernel.run(WIDGETS).messages) == [("5/5", False), ("20/20", False)]


def widgets(messages: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """Of each display: the count in its text, and whether it is a widget of this kernel."""
    shown, _ = front_end(messages)
    data = [item["data"] for item in shown[1::2]]
    view = "application/vnd.jupyter.widget-view+json"
    return [(re.findall(r"\d+/\d+", entry["text/plain"])[0], view in entry) for entry in data]


OWN_WIDGETS = """%%checkpointed own --every 0.1s --budget 90%
import ipywidgets
bar, said = ipywidgets.IntProgress(max=20), ipywidgets.HTML("start")
box = ipywidgets.HBox([bar, said])
display(box)
for step in range(20):
    time.sleep(0.03)
    note(f"step {step}")
    bar.value += 1
    said.value = f"<b>{bar.value}</b>"
(bar.value, bar.max, said.value, box.children[0] is bar)
"""


def test_widgets_that_have_names_are_made_anew_in_the_place_of_the_old_ones(machine: Machine) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        assert kernel.run(OWN_WIDGETS, kill_when=lambda: steps(machine) >= 12).died
    view = "application/vnd.jupyter.widget-view+json"
    for depth in (1, 0):
        with machine.kernel() as kernel:
            set_up(kernel)
            done = kernel.run(f"{OWN_WIDGETS}")
            shown, _ = front_end(done.messages)
            assert resumed(machine)[-1] == depth
            assert "(20, 20, '<b>20</b>', True)" in str(shown)
            box = kernel.run("print(box.model_id)").text.strip()
            assert [item["data"][view]["model_id"] for item in shown[1::2] if view in item["data"]] == [box]


def test_an_interrupted_cell_goes_on_in_the_same_kernel_with_its_output_and_without_our_notice(machine: Machine) -> None:
    with machine.kernel() as kernel:
        set_up(kernel)
        sent: list[bool] = []

        def interrupt() -> bool:
            if not sent and steps(machine) >= 13:
                kernel.manager.interrupt_kernel()
                sent.append(True)
            return False

        stopped = kernel.run(PLAIN, kill_when=interrupt)
        assert "Finishing the step" in stopped.text and "saved at" in stopped.error
        done = kernel.run(PLAIN)
        assert not done.error, done.error
        assert texts(done.messages) == {"stdout": "".join(f"step {step}\n" for step in range(30))}


def test_an_error_is_no_output_and_what_was_printed_after_the_last_snapshot_is_not_doubled(machine: Machine) -> None:

    failing = PLAIN.replace("    note(", "    if step == 20 and not os.path.exists('there'):\n        raise OSError('no')\n    note(")
    with machine.kernel() as kernel:
        set_up(kernel)
        failed = kernel.run(failing)
        assert "OSError" in failed.error
        (machine.work / "there").touch()
        done = kernel.run(failing)
        assert not done.error, done.error
        assert texts(done.messages) == {"stdout": "".join(f"step {step}\n" for step in range(30))}
        fresh = kernel.run(failing.replace("plain", "plain --fresh"))
        assert texts(fresh.messages) == {"stdout": "".join(f"step {step}\n" for step in range(30))}


def test_nothing_of_ours_is_left_on_the_streams_and_the_shell(machine: Machine) -> None:
    with machine.kernel() as kernel:
        kernel.run("import sys\nthings = sys.stdout, sys.stderr, get_ipython().display_pub, get_ipython()")
        kernel.run("before = [set(vars(thing)) for thing in things]")
        set_up(kernel)
        assert not kernel.run(PLAIN).error
        assert not kernel.run("%unload_ext colab_guard").error
        assert kernel.run("[sorted(set(vars(thing)) - known) for thing, known in zip(things, before)]").value == "[[], [], [], []]"


PLAIN = """%%checkpointed plain --every 0.1s --budget 90%
for step in range(30):
    time.sleep(0.02)
    print("step", step)
    note(f"step {step}")
"""


def texts(messages: list[dict[str, Any]]) -> dict[str, str]:
    """The text of each stream, without our notices."""
    (only,), _ = front_end(messages)
    notice = re.compile("Finishing the step.*\n")
    said = {name: notice.sub("", text) for name, text in only.items()}
    return {name: text for name, text in said.items() if text}
