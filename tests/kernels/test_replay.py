"""What a front end shows after a loss and a resume, against an uninterrupted run, on every stack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from colab_guard.session.output.folding import folded
from tests.kernels.harness import Machine, RunningKernel, pythons

SETUP = """
%load_ext colab_guard
import os, sys, time
from IPython.display import display, update_display, clear_output, HTML
def note(line):
    with open(os.environ["SIDE"], "a") as side:
        side.write(line + "\\n")
"""
CELL = """%%checkpointed shown --every 0.1s --budget 90%
import matplotlib.pyplot as plt, pandas as pd, subprocess, threading
from tqdm import tqdm
print("lost before it was cleared")
display(HTML("lost too"))
clear_output()
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
print("waits to be cleared")
clear_output(wait=True)
time.sleep(0.2)
print("all", end="")
print(" done")
display("last", display_id="last")
update_display("the very last", display_id="last")
"the value"
"""
STACKS = pythons()


@pytest.fixture(params=STACKS, ids=list(STACKS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, STACKS[request.param])


def front_end(messages: list[dict[str, Any]]) -> list[Any]:
    """The outputs that a front end ends up with: text by stream between displays, and the displays; no panel."""
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
            texts[name] = without_times(folded(text))
    for item in shown[1::2]:
        item["id"] = item["id"] is not None
    return shown


def is_panel(content: dict[str, Any]) -> bool:
    return "safety:" in content.get("data", {}).get("text/plain", "")


def without_times(text: str) -> str:
    text = re.sub(r"(\d+/\d+) \[[^\]\n]*\]", r"\1", text)
    return re.sub(r"(CPU times|Wall time):.*", r"\1", text)


def set_up(kernel: RunningKernel) -> None:
    loaded = kernel.run(SETUP)
    assert "colab_guard on" in loaded.text and not loaded.error, loaded.error


def steps(machine: Machine) -> int:
    return len({line for line in machine.lines() if line.startswith("step")})


def run_to_end(machine: Machine) -> list[Any]:
    with machine.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(CELL)
        assert not done.error, done.error
        return front_end(done.messages)


def test_try(machine: Machine, tmp_path: Path) -> None:
    import pprint
    short = CELL.replace('print("waits', 'raise SystemExit\nprint("waits')
    whole = Machine(tmp_path / "whole", machine.python)
    with whole.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(short)
        expected = front_end(done.messages)
    for target in (9, 19, 27):
        with machine.kernel() as kernel:
            set_up(kernel)
            killed = kernel.run(short, kill_when=lambda target=target: steps(machine) >= target)
            assert killed.died
    with machine.kernel() as kernel:
        set_up(kernel)
        done = kernel.run(short)
        found = front_end(done.messages)
    def s(x):
        return re.sub(r"'[A-Za-z0-9+/=\\n]{200,}'", "'...'", pprint.pformat(x, width=150))
    print(s(expected)); print("-----"); print(s(found))
    print(len([l for l in machine.lines() if l.startswith("step")]))
    assert expected == found
