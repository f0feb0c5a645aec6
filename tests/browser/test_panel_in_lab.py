"""The panel in a real JupyterLab: live while a cell is busy, static at the end, safe, in both themes, narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.jupyter import Lab, Page

SETUP = """
import pathlib, time
from colab_guard.clock import SystemClock
from colab_guard.events import *
from colab_guard.panel import Panel
from colab_guard.workers import Workers
clock, workers = SystemClock(), Workers()
bus = EventBus(workers, clock)
panel = Panel(get_ipython(), bus, clock, workers)
"""

BUSY = """
EVIL = '<script>alert("owned")</script><img src=x onerror="alert(1)">'
bus.post(WorkStarted(name="digits", where="FOLDER"))
bus.post(SweepStarted(sweep="digits", total=39, done=0, failed=0))
panel.show()
gate = pathlib.Path("GATE")
def until(step):
    # the test says when to go on, so that nothing here depends on speed
    while not gate.exists() or int(gate.read_text() or 0) < step:
        time.sleep(0.05)
bus.post(UnitStarted(sweep="digits", index=0, total=39, label=EVIL, params={"rank": 2}))
bus.post(UnitFinished(sweep="digits", index=0, label=EVIL, status="failed", reason=EVIL, seconds=3))
bus.post(UnitStarted(sweep="digits", index=1, total=39, label="vit-tiny", params={"rank": 4}))
for step in range(1, 61):
    bus.post(StepDone(step=step, total=400, loss=2.3 / step ** 0.5))
bus.post(MemorySampled(host_used=3 * 2**30, host_limit=12 * 2**30))
until(1)
bus.post(SnapshotSaved(name="digits", commit="1-1-a", kind="step", position="model 2, step 60", bytes_new=1,
                       bytes_total=1, stall_s=0, write_s=0))
bus.post(SnapshotSent(name="digits", commit="1-1-a", where="FOLDER"))
until(2)
bus.post(UnitFinished(sweep="digits", index=1, label="vit-tiny", status="done", metrics={"accuracy": 0.93}, seconds=9))
bus.post(WorkEnded(name="digits", outcome="done"))
panel.freeze()
"""

# the prompt says that the cell still runs; the kernel's status turns "idle" with any request answered beside it
PROMPT = "() => document.querySelectorAll('.jp-InputPrompt')[1].textContent"


def go_on(page: Page, step: int) -> None:
    (page.path.parent / f"{page.path.stem}.gate").write_text(str(step))


def opened(lab: Lab, browser: Any, name: str, before: str = "", **view: Any) -> Page:
    cells = [SETUP + before, BUSY.replace("GATE", f"{name}.gate")]
    return Page(lab, browser, name, cells, **({"viewport": {"width": 1400, "height": 1100}} | view))


@pytest.fixture(scope="module")
def seen(lab: Lab, browser: Any) -> Iterator[dict[str, Any]]:
    """One run of the notebook and what was seen on the way; the tests below look at it."""
    page = opened(lab, browser, "live")
    page.run_all()
    page.wait_for_text("step 60 of 400")
    root = page.page.locator(".colab-guard")
    found: dict[str, Any] = {"before": root.inner_text(), "status": page.page.evaluate(PROMPT)}
    found["curve"] = page.page.locator(".colab-guard .curve").count()
    go_on(page, 1)
    page.wait_for_text("would resume at model 2, step 60")
    found["saved"] = root.inner_text()
    found["copy"] = page.page.locator(".colab-guard button").count()
    go_on(page, 2)
    page.wait_for_text("as of")
    page.page.wait_for_function("() => document.querySelectorAll('.colab-guard button').length === 0")
    found["frozen"] = root.inner_text()
    found["count"] = root.count()
    found["page"] = page
    found["notebook"] = page.saved()
    yield found
    page.close()


def test_it_shows_and_moves_on_while_the_cell_is_busy(seen: dict[str, Any]) -> None:
    assert seen["status"] == "[*]:"
    assert "NOT SAVED: no commit yet" in seen["before"]
    assert "vit-tiny: step 60 of 400, loss 0.2969" in seen["before"]
    assert re.search(r"saved \d+ s ago, sent \d+ s ago to FOLDER: would resume at model 2, step 60", seen["saved"])
    assert seen["curve"] >= 1
    assert seen["copy"] == 2


def test_at_the_end_it_is_static_html_in_the_same_place_and_in_the_saved_notebook(seen: dict[str, Any]) -> None:
    assert seen["count"] == 1
    assert "1 of 39 done, 1 failed" in seen["frozen"]
    outputs = seen["notebook"]["cells"][1]["outputs"]
    assert [sorted(output["data"]) for output in outputs] == [["text/html", "text/plain"]]
    assert "✓ digits: done" in "".join(outputs[0]["data"]["text/plain"])
    assert not seen["notebook"]["metadata"].get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})


def test_markup_in_a_label_or_an_error_is_text(seen: dict[str, Any]) -> None:
    assert '<script>alert("owned")</script>' in seen["before"]
    assert '<script>alert("owned")</script>' in seen["frozen"]
    assert seen["page"].errors == []


def test_without_anywidget_html_is_replaced_in_place(lab: Lab, browser: Any) -> None:
    page = opened(lab, browser, "plain", before="import sys; sys.modules['anywidget'] = None")
    page.run_all()
    page.wait_for_text("step 60 of 400")
    go_on(page, 1)
    page.wait_for_text("would resume at model 2, step 60")
    assert page.page.locator(".colab-guard").count() == 1
    go_on(page, 2)
    page.wait_for_text("1 of 39 done, 1 failed")
    page.page.wait_for_function("() => document.querySelector('.colab-guard .phase').textContent.includes('done')")
    page.close()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
@pytest.mark.parametrize("width", [1100, 320])
def test_it_takes_the_theme_of_the_host_and_fits(lab: Lab, browser: Any, theme: str, width: int, tmp_path: Path) -> None:
    # the system wants the opposite of the host: the host wins
    system = "light" if "Dark" in theme else "dark"
    name = f"theme-{theme.split()[1]}-{width}"
    page = opened(lab, browser, name, color_scheme=system)
    page.command("apputils:change-theme", theme=theme)
    dark = "Dark" in theme
    page.page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{str(not dark).lower()}'")
    page.run_all()
    page.wait_for_text("step 60 of 400")
    go_on(page, 1)
    page.wait_for_text("would resume at model 2, step 60")
    root = page.page.locator(".colab-guard")
    root.evaluate("(element, width) => { element.style.maxWidth = `${width}px` }", width)
    background = root.evaluate("element => getComputedStyle(element).backgroundColor")
    assert background == ("rgb(22, 25, 29)" if dark else "rgb(255, 255, 255)")
    assert root.evaluate("element => element.scrollWidth <= element.clientWidth")
    # the host's own style for lists must not squeeze ours
    assert root.evaluate("element => [...element.querySelectorAll('dt')].every(dt => dt.clientHeight < 70)")
    root.screenshot(path=str(tmp_path / f"{name}.png"))
    go_on(page, 2)
    page.wait_for_text("as of")
    page.close()
