"""What a real kernel publishes: one display, live updates while a cell is busy, static HTML in its place at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

LIMIT_S = 60
WIDGET = "application/vnd.jupyter.widget-view+json"

SETUP = """
import sys, threading
from colab_guard.clock import SystemClock
from colab_guard.events import *
from colab_guard.panel import Panel
from colab_guard.workers import Workers
clock, workers = SystemClock(), Workers()
bus = EventBus(workers, clock)
panel = Panel(get_ipython(), bus, clock, workers)
drawn = threading.Event()
tick = panel.tick
def ticked():
    tick()
    drawn.set()
panel.tick = ticked
"""

RUN = """
bus.post(WorkStarted(name="digits"))
panel.show()
bus.post(StepDone(step=7, total=9, loss=0.5))
drawn.clear()
drawn.wait(30)
drawn.clear()
drawn.wait(30)
bus.post(WorkEnded(name="digits", outcome="done"))
panel.freeze()
"""


class Kernel:
    """A kernel of this interpreter."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        assert self.manager.kernel_spec is not None
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel()
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=LIMIT_S)

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run a cell; give all that was published until it was idle again. An error fails the test."""
        asked = self.client.execute(code, stop_on_error=False)
        published: list[dict[str, Any]] = []
        while True:
            message = self.client.get_iopub_msg(timeout=LIMIT_S)
            published.append(message)
            assert message["msg_type"] != "error", "\n".join(message["content"]["traceback"])
            mine = message["parent_header"].get("msg_id") == asked
            if mine and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return published

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=":")
    made = Kernel()
    yield made
    made.close()


def contents(published: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [message["content"] for message in published if message["msg_type"] == kind]


def test_the_widget_is_shown_once_updated_live_and_replaced_by_html(kernel: Kernel) -> None:
    kernel.run(SETUP)
    published = kernel.run(RUN)
    (shown,) = contents(published, "display_data")
    assert {WIDGET, "text/html", "text/plain"} <= set(shown["data"])
    views = [c["data"]["state"]["view"] for c in contents(published, "comm_msg") if "view" in c["data"].get("state", {})]
    assert any("step 7 of 9, loss 0.5" in str(view["bars"]) for view in views)
    (frozen,) = contents(published, "update_display_data")
    assert frozen["transient"] == shown["transient"]
    assert set(frozen["data"]) == {"text/html", "text/plain"}
    assert frozen["data"]["text/plain"].startswith("✓ digits: done")
    assert contents(published, "comm_close") == []  # it stays, for a page that is loaded again
    assert contents(published, "stream") == []


def test_without_anywidget_the_same_display_is_replaced_by_newer_html(kernel: Kernel) -> None:
    kernel.run(SETUP + "sys.modules['anywidget'] = None")
    published = kernel.run(RUN)
    style, shown = contents(published, "display_data")
    assert style["data"]["text/html"].startswith("<style>")
    assert set(shown["data"]) == {"text/html", "text/plain"}
    *live, frozen, last = contents(published, "update_display_data")
    assert live and all(update["transient"] == shown["transient"] for update in [*live, frozen])
    assert "step 7 of 9" in live[0]["data"]["text/html"] and "<style>" not in live[0]["data"]["text/html"]
    assert "<style>" in frozen["data"]["text/html"] and frozen["data"]["text/plain"].startswith("✓ digits: done")
    assert last["transient"] == style["transient"] and set(last["data"].values()) == {""}
    assert contents(published, "comm_open") == []


def test_without_anywidget_what_is_shown_while_nothing_runs_stands_by_itself(kernel: Kernel) -> None:
    kernel.run(SETUP + "sys.modules['anywidget'] = None")
    (shown,) = contents(kernel.run("panel.show(live=False)"), "display_data")
    assert "<style>" in shown["data"]["text/html"]
    (frozen,) = contents(kernel.run("panel.freeze()"), "update_display_data")
    assert "<style>" in frozen["data"]["text/html"] and frozen["transient"] == shown["transient"]


def test_importing_the_panel_imports_no_widget_library(kernel: Kernel) -> None:
    said = kernel.run(SETUP + "print([m for m in ('anywidget', 'torch', 'pandas') if m in sys.modules])")
    assert contents(said, "stream")[0]["text"].strip() == "[]"


def test_a_notebook_that_nbclient_executes_keeps_no_running_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    sources = ["%load_ext colab_guard", "%%checkpointed a\nimport time\nfor i in range(3):\n    time.sleep(0.5)"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbclient.NotebookClient(book, timeout=LIMIT_S, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (kept,) = book.metadata.get("widgets", {"none": {"state": {}}}).values()
    views = [model["state"]["view"] for model in kept["state"].values() if "view" in model["state"]]
    assert [view["running"] for view in views] == [False] * len(views)
    assert "text/html" in book.cells[1].outputs[0]["data"] and WIDGET not in book.cells[1].outputs[0]["data"]


UPDATES = """
from tests.panel.scenes import Sweep
from colab_guard.panel.surfaces import WidgetSurface
from colab_guard.events import UnitFinished, UnitStarted
story = Sweep()
surface = WidgetSurface(lambda content: None)
surface.show(story.panel.view())
def told():
    while not surface.update(story.panel.view()):
        pass
"""

SWEEPS = {
    "39": "for index in range(39):\n    story.whole(index)\n    told()",
    "10,000 with long labels": """
label = '長い "名前"' * 40
for index in range(9_880, 10_000):
    params = {f"{label}{n}": label for n in range(6)}
    story.post(UnitStarted(sweep="lora-39", index=index, total=10_000, label=label, params=params))
    story.post(UnitFinished(sweep="lora-39", index=index, label=label, status="failed", reason=label, did=label, seconds=1))
    story.sample(index / 10_000)
    story.commit("unit", label)
    told()
""",
}


@pytest.mark.parametrize("sweep", SWEEPS)
def test_each_update_is_under_8_kb_and_all_of_them_together_tell_all_runs(kernel: Kernel, sweep: str) -> None:
    kernel.run(UPDATES)
    updates = contents(kernel.run(SWEEPS[sweep]), "comm_msg")
    assert len(updates) >= 39
    assert max(len(json.dumps(update, ensure_ascii=False).encode()) for update in updates) < 8192
    ended: dict[str, list[list[Any]]] = {}
    for update in updates:
        ended.update({name: value for name, value in update["data"]["state"].items() if name.startswith("ended")})
    indexes = sorted(row[0] for piece in ended.values() for row in piece)
    assert indexes == (list(range(39)) if sweep == "39" else list(range(9_904, 10_000)))


def test_the_controls_have_a_comm_of_their_own_on_which_only_an_answer_is_sent(kernel: Kernel) -> None:
    kernel.run(SETUP.replace("bus, clock, workers)\n", "bus, clock, workers, ask=lambda word: word + ' heard')\n"))
    opened = contents(kernel.run('bus.post(WorkStarted(name="digits"))\npanel.show()'), "comm_open")
    controls = [comm["comm_id"] for comm in opened if comm["data"]["state"].get("_model_name") == "WidgetModel"]
    (panel,) = [comm for comm in opened if "view" in comm["data"]["state"]]
    assert controls == [panel["data"]["state"]["controls"]]
    # `%guard panel` and long loops write to the panel's comm alone
    kernel.run("for turn in range(3):\n    bus.post(StepDone(step=turn))\n    clock.wait(threading.Event(), 1.1)")
    started = kernel.run("print(repr(panel.state.started))")
    at = float(contents(started, "stream")[0]["text"])
    message = kernel.client.session.msg(
        "comm_msg", {"comm_id": controls[0], "data": {"method": "custom", "content": {"ask": "stop", "id": 4, "started": at}}}
    )
    kernel.client.shell_channel.send(message)
    while True:
        heard = kernel.client.get_iopub_msg(timeout=LIMIT_S)
        if heard["msg_type"] == "comm_msg" and heard["content"]["comm_id"] == controls[0]:
            break
    assert heard["content"]["data"] == {"method": "custom", "content": {"id": 4, "said": "stop heard"}}
    closed = contents(kernel.run("panel.freeze()"), "comm_close")
    assert controls[0] in [comm["comm_id"] for comm in closed]
