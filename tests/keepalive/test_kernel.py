"""In a real kernel: what the heartbeat and the widget publish, and that unloading ends it."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

LIMIT_S = 60


class Kernel:
    """A kernel of this interpreter, and all that it has published."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel()
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=LIMIT_S)
        self.published: list[dict[str, Any]] = []

    def run(self, code: str) -> str:
        """Run a cell; give what it printed. An error fails the test."""
        asked = self.client.execute(code, stop_on_error=False)
        printed = ""
        while True:
            message = self.next()
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["msg_type"] == "stream":
                printed += message["content"]["text"]
            assert message["msg_type"] != "error", message["content"]
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return printed

    def next(self) -> dict[str, Any]:
        message: dict[str, Any] = self.client.get_iopub_msg(timeout=LIMIT_S)
        self.published.append(message)
        return message

    def drain(self) -> None:
        while True:
            try:
                self.published.append(self.client.get_iopub_msg(timeout=0.2))
            except queue.Empty:
                return

    def contents(self, kind: str) -> list[dict[str, Any]]:
        return [message["content"] for message in self.published if message["msg_type"] == kind]

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLAB_GUARD_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=":")
        made = Kernel()
        made.run("import threading, time, colab_guard\n%load_ext colab_guard")
        yield made
        made.close()


THREADS = "print([t.name for t in threading.enumerate() if t.name.startswith('colab_guard') and 'heartbeat' in t.name])"


def test_heartbeats_are_published_while_guarded_work_runs_and_end_with_it(kernel: Kernel) -> None:
    assert "on, every 0.1 s" in kernel.run("%keepalive --every 0.1s")
    kernel.drain()
    assert kernel.contents("comm_open") == [], "nothing is opened before work runs"
    kernel.run(
        "from colab_guard.session import current\n"
        "with colab_guard.work('training'):\n"
        "    until = time.monotonic() + 30\n"
        "    while current().keepalive.status().beats < 4 and time.monotonic() < until:\n"
        "        time.sleep(0.01)\n"
    )
    kernel.drain()
    opened = [c["comm_id"] for c in kernel.contents("comm_open") if c["target_name"] == "colab_guard.heartbeat"]
    assert len(opened) == 1
    beats = [c["data"]["beat"] for c in kernel.contents("comm_msg") if c["comm_id"] == opened[0]]
    assert beats[:4] == [1, 2, 3, 4]
    assert opened[0] in [c["comm_id"] for c in kernel.contents("comm_close")]
    assert kernel.run(THREADS) == "[]\n"


def test_the_page_is_answered_and_its_widget_leaves_words_behind(kernel: Kernel) -> None:
    kernel.published.clear()
    kernel.run("%keepalive --every 60s")
    kernel.run("w = colab_guard.work('training'); _ = w.__enter__()")
    kernel.drain()
    widget = next(
        c["comm_id"] for c in kernel.contents("comm_open") if "_esm" in str(c["data"].get("state", {}).keys())
    )
    views = [c["data"] for c in kernel.contents("display_data")]
    assert widget in [v.get("application/vnd.jupyter.widget-view+json", {}).get("model_id") for v in views]
    ping = {"method": "custom", "content": {"type": "ping", "id": 7, "sent_ms": time.time() * 1000}}
    message = kernel.client.session.msg("comm_msg", {"comm_id": widget, "data": ping})
    kernel.client.shell_channel.send(message)
    pongs: list[Any] = []
    while not pongs:
        kernel.next()
        sent = [c["data"].get("content") for c in kernel.contents("comm_msg") if c["comm_id"] == widget]
        pongs = [content for content in sent if content]
    assert (pongs[0]["type"], pongs[0]["id"]) == ("pong", 7)
    assert "browser heard" in kernel.run("%keepalive status")
    kernel.run("_ = w.__exit__(None, None, None)")
    kernel.drain()
    frozen = [
        c["data"]
        for c in kernel.contents("update_display_data")
        if "heartbeats sent" in c["data"].get("text/plain", "")
    ]
    assert len(frozen) == 1
    assert "application/vnd.jupyter.widget-view+json" not in frozen[0]


def test_unloading_in_a_kernel_leaves_no_thread_and_no_magic(kernel: Kernel) -> None:
    kernel.run("%keepalive\n%unload_ext colab_guard")
    assert kernel.run("print([t.name for t in threading.enumerate() if t.name.startswith('colab_guard')])") == "[]\n"
    found = "ip = get_ipython()\nprint([ip.find_magic(m, k) for m, k in (('keepalive', 'line'), ('memguard', 'line'), ('guard', 'line'), ('checkpointed', 'cell'))])"
    assert kernel.run(found) == "[None, None, None, None]\n"
