"""Keep-alive in real kernels of all stacks: what is published, what the page is told, the doctor, and the machine given back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.kernels.harness import Machine, Output, RunningKernel, stacks

STACKS = stacks()
WORK = """
import time
from colab_guard.session import current
with colab_guard.work("training"):
    until = time.monotonic() + 60
    while current().keepalive.status().beats < 3 and time.monotonic() < until:
        time.sleep(0.01)
"""
ON_COLAB = """
from colab_guard.hosts import places
from colab_guard.hosts.fake_colab import FakeColab
from colab_guard.keepalive import release
colab = FakeColab()
colab.__enter__()
release.QUIET_S = 0.5
places.proves_durability = lambda folder: "nfs4: the server acknowledges fsync"  # a folder as of another machine
%load_ext colab_guard
"""


@pytest.fixture(params=STACKS, ids=list(STACKS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, STACKS[request.param])


def ran(kernel: RunningKernel, code: str) -> Output:
    done = kernel.run(code)
    assert not done.error, done.error
    return done


def of(done: Output, kind: str) -> list[dict[str, Any]]:
    return [message["content"] for message in done.messages if message["msg_type"] == kind]


def test_beats_reach_the_page_and_the_end_is_told_before_the_widget_is_frozen(machine: Machine) -> None:
    with machine.kernel() as kernel:
        ran(kernel, "import colab_guard\n%load_ext colab_guard\n%keepalive --every 1s")
        done = ran(kernel, WORK)
        widget = next(c for c in of(done, "comm_open") if "_esm" in str(c["data"].get("state", {}).keys()))
        state, ident = widget["data"]["state"], widget["comm_id"]
        assert (state["every_s"], state["beat_s"], state["active"]) == (1, 1, True)
        assert state["resume"].startswith("run the cell again, from its start") and state["nonce"] == ""
        told = [c["data"] for c in of(done, "comm_msg") if c["comm_id"] == ident]
        beats = [data["state"]["beats"] for data in told if "beats" in data.get("state", {})]
        assert beats == list(range(1, len(beats) + 1)) and len(beats) >= 3
        news = [number for number, data in enumerate(told) if data.get("method") == "custom"]
        ended = [number for number, data in enumerate(told) if data.get("state", {}).get("active") is False]
        assert told[news[0]]["content"]["title"] == "training: done" and news[0] < ended[0]
        unloaded = ran(kernel, "%unload_ext colab_guard")  # until then a page that is loaded again may ask for it
        assert ident in [c["comm_id"] for c in of(unloaded, "comm_close")]


def test_the_doctor_and_the_pages_script_on_colabs_imitation(machine: Machine) -> None:
    with machine.kernel() as kernel:
        ran(kernel, ON_COLAB)
        told = ran(kernel, "%keepalive doctor").text
        assert "Google Colab" in told and "of 12 h" in told and "colab exec -s train" in told
        printed = ran(kernel, "%keepalive --page-script").text
        nonce = printed.split('"nonce": "')[1].split('"')[0]
        done = ran(kernel, "import colab_guard" + WORK.replace("< 3", "< 1"))
        widget = next(c["data"]["state"] for c in of(done, "comm_open") if "_esm" in str(c["data"].get("state", {}).keys()))
        assert (widget["nonce"], widget["page"]) == (nonce, "https://colab.research.google.com")


def test_the_machine_is_given_back_after_the_last_cell_and_that_is_shown_in_the_widgets_place(machine: Machine) -> None:
    with machine.kernel() as kernel:
        ran(kernel, ON_COLAB)
        ran(kernel, "%keepalive --release")
        ran(kernel, f"%%checkpointed lora --to {machine.root}/far\nfor step in range(3):\n    last = step")
        until = time.monotonic() + 60
        shown: list[str] = []
        while not shown and time.monotonic() < until:
            message = kernel.client.get_iopub_msg(timeout=60)
            if message["msg_type"] == "update_display_data":
                shown += [text for text in (message["content"]["data"].get("text/plain", ""),) if "given back." in text and "When" not in text]
        assert shown == ["keep-alive: The machine was given back."]
        assert ran(kernel, "print(colab.unassigned, last)").text == "True 2\n"
