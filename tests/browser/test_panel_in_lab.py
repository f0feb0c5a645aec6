"""The panel in a real JupyterLab: live while a cell is busy, static at the end, safe, in both themes, narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipykernel
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
asked = []
def ask(word):
    asked.append(word)
    return f"{word}: heard while the cell is busy"
panel = Panel(get_ipython(), bus, clock, workers, ask=ask)
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
for run in range(20, 32):
    bus.post(UnitFinished(sweep="digits", index=run, label=f"model {run}", status="done", metrics={"accuracy": run / 100}, seconds=run))
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

HEARS = int(ipykernel.__version__.split(".")[0]) >= 7

# the prompt says that the cell still runs; the kernel's status turns "idle" with any request answered beside it
PROMPT = "() => document.querySelectorAll('.jp-InputPrompt')[1].textContent"


def go_on(page: Page, step: int) -> None:
    (page.path.parent / f"{page.path.stem}.gate").write_text(str(step))


def opened(lab: Lab, browser: Any, name: str, before: str = "", **view: Any) -> Page:
    cells = [SETUP + before, BUSY.replace("GATE", f"{name}.gate")]
    return Page(lab, browser, name, cells, **({"viewport": {"width": 1400, "height": 1100}} | view))


def touched(page: Page) -> dict[str, Any]:
    """What a person can do in the page while the cell is busy, and what came of it."""
    root = page.page.locator(".colab-guard")
    labels = "elements => elements.map((element) => element.textContent.trim())"
    runs = root.locator("tbody th[scope=row]")
    root.get_by_role("button", name="show all").click()
    root.get_by_role("button", name="result").click()
    best = runs.evaluate_all(labels)
    # "dd" deletes a cell where the notebook hears it
    root.get_by_role("searchbox").press_sequentially("model 2dd")
    cells = page.page.locator(".jp-Notebook .jp-CodeCell").count()
    root.get_by_role("searchbox").fill("model 2")
    root.get_by_text("model 29").wait_for()
    filtered = runs.evaluate_all(labels)
    root.get_by_role("searchbox").fill("")
    root.get_by_role("button", name="show fewer").click()
    root.get_by_role("button", name="commit now").click()
    # not `page.wait_for_text`: the cell's own source has these words too
    root.locator(".asks").get_by_text("heard while the cell is busy" if HEARS else "only between cells").wait_for(timeout=60_000)
    return {"best": best, "filtered": filtered, "cells": cells, "answer": root.locator(".asks").inner_text()}


@pytest.fixture(scope="module")
def seen(lab: Lab, browser: Any) -> Iterator[dict[str, Any]]:
    """One run of the notebook and what was seen on the way; the tests below look at it."""
    page = opened(lab, browser, "live")
    page.run_all()
    page.wait_for_text("step 60 of 400")
    root = page.page.locator(".colab-guard")
    found: dict[str, Any] = {"before": root.inner_text(), "status": page.page.evaluate(PROMPT)}
    found["curve"] = page.page.locator(".colab-guard .curve").count()
    found |= touched(page)
    go_on(page, 1)
    page.wait_for_text("would resume at model 2, step 60")
    found["saved"] = root.inner_text()
    found["copy"] = page.page.locator(".colab-guard [data-copy]").count()
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
    assert re.search(r"saved \d+ s ago, sent \d+ s ago to FOLDER \(not verified there\): would resume at model 2, step 60", seen["saved"])
    assert seen["curve"] >= 1
    assert seen["copy"] == 2


def test_runs_are_sorted_and_filtered_in_the_page_while_the_cell_is_busy(seen: dict[str, Any]) -> None:
    assert seen["best"][:3] == ["model 31", "model 30", "model 29"]
    assert len(seen["best"]) == 14
    assert seen["filtered"] == [f"model {run}" for run in range(29, 19, -1)]
    assert seen["cells"] == 2


@pytest.mark.skipif(not HEARS, reason="this kernel hears the page only between cells: that is shown, and tested in js/test")
def test_a_button_is_answered_while_the_cell_is_busy_and_the_panel_has_been_written_to(seen: dict[str, Any]) -> None:
    assert "commit: heard while the cell is busy" in seen["answer"]


def test_at_the_end_it_is_static_html_in_the_same_place_and_in_the_saved_notebook(seen: dict[str, Any]) -> None:
    assert seen["count"] == 1
    assert "13 of 39 done, 1 failed" in seen["frozen"]
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
    page.wait_for_text("13 of 39 done, 1 failed")
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


SWEEP = """
from colab_guard import Sweep, grid
import time, pathlib
sweep = Sweep("stopped", grid(rank=[1, 2, 3, 4]))
"""
CHECKPOINTED = """%%checkpointed stopped --fresh
for run in sweep:
    for step in range(10**9):
        if pathlib.Path("next.gate").exists() or run.params["rank"] == 1:
            break
        time.sleep(0.02)
    run.log(accuracy=run.params["rank"] / 10)
"""


@pytest.mark.skipif(not HEARS, reason="this kernel hears the page only between cells")
def test_stop_after_this_model_lets_the_run_end_saves_it_and_stops(lab: Lab, browser: Any) -> None:
    gate = lab.folder / "next.gate"
    gate.unlink(missing_ok=True)
    page = Page(lab, browser, "stopped", ["%load_ext colab_guard" + SWEEP, CHECKPOINTED], viewport={"width": 1200, "height": 1200})
    page.run_all()
    page.wait_for_text("1 of 4 models")
    page.page.get_by_role("button", name="stop after this model").click()
    page.wait_for_text("stopping after this model")
    gate.touch()
    page.wait_for_text("2 of 4 models")
    page.page.wait_for_function("() => document.querySelector('.colab-guard .phase').textContent.includes('stopped')")
    words = page.page.locator(".colab-guard").first.inner_text()
    assert "2 of 4 done" in words
    assert re.search(r"rank=2.*accuracy 0.2.*saved \d+-\d+", words.replace("\n", " "))
    page.close()
