"""A small real sweep whose models end when the test says so: nothing depends on speed, and the cell stays busy meanwhile."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import TimeoutError as PageTimeout

from tests.browser.jupyter import Page, Server

MODELS = 6
LIMIT_S = 60.0

# not a part of the notebook, so that its loop gets no safe points
MODULE = '''
import pathlib, time
def wait_for(name, count, limit_s=600):
    """Until the file NAME.gate holds `count` or more."""
    path, end = pathlib.Path(__file__).with_name(f"{name}.gate"), time.monotonic() + limit_s
    while int(path.read_text()) < count:
        if time.monotonic() > end:
            raise TimeoutError(f"the test never said {count}")
        time.sleep(0.05)
'''

SETUP = """
%load_ext colab_guard
%keepalive --every EVERY
import gate
from colab_guard import Sweep, grid
sweep = Sweep("NAME", grid(model=["small", "large"], rank=[2, 4, 8]))
"""

WORK = """%%checkpointed NAME --every 60s
for run in sweep:
    loss = 1.0
    for step in range(1, 6):
        loss = loss / 2 + run.params["rank"]
    gate.wait_for("NAME", run.index + 1)
    print(f"finished {run.index + 1}")
    run.log(accuracy=1 / loss)
"""


def cells(name: str, every: str = "5s") -> list[str]:
    """The two cells: what is loaded, and the sweep of `MODELS` models."""
    return [SETUP.replace("NAME", name).replace("EVERY", every), WORK.replace("NAME", name)]


def prepare(server: Server, name: str) -> None:
    """Write the module that waits, with the gate of `name` closed."""
    (server.folder / "gate.py").write_text(MODULE)
    go_on(server, name, 0)


def go_on(server: Server, name: str, count: int) -> None:
    """Let the first `count` models end."""
    new = server.folder / f"{name}.new"
    new.write_text(str(count))
    os.replace(new, server.folder / f"{name}.gate")


def counts(done: int) -> re.Pattern[str]:
    """How the panel says that `done` models are done."""
    return re.compile(rf"\b{done} of {MODELS} (done|models)")


def panel(page: Page, cell: int) -> Any:
    """The panel in the output of a cell; the connection's widget beside it is another."""
    return page.cell(cell).locator(".colab-guard").filter(has_text=re.compile("Safety|safety"))


def wait_for_count(page: Page, done: int, cell: int = 1, limit_s: float = LIMIT_S) -> str:
    """Wait until the panel in `cell` counts `done` models; give all its words."""
    found = panel(page, cell).filter(has_text=counts(done)).first
    try:
        found.wait_for(timeout=limit_s * 1000)
    except PageTimeout as late:
        raise AssertionError(f"{done} of {MODELS} is not said; what is: {page.outputs(cell)}\n{page.console[-10:]}") from late
    text: str = found.inner_text()
    return text


def wait_until_back(page: Page, done: int) -> str:
    """As `wait_for_count`, in a page that was loaded while the kernel was busy; where it must, it loads the page once more.

    When the cell ends within seconds of the loading, the page's widget manager (ipywidgets') asks for the kernel's widgets twice
    at the same time, and now and then draws "model not found" although they are there. The next loading finds them.
    """
    back = panel(page, 1).filter(has_text=counts(done)).or_(page.cell(1).get_by_text("model not found")).first
    back.wait_for(timeout=LIMIT_S * 1000)
    if "model not found" in page.outputs(1):
        page.reload()
    return wait_for_count(page, done)


def stacks(pythons: dict[str, str]) -> dict[str, str]:
    """Kernels to test, by name: the newest stack's, and the one that Colab has."""
    return {name: python for name, python in pythons.items() if name in ("this", "colab311")}


def stored(server: Server, name: str) -> Path:
    """The folder where the sweep's commits are."""
    return server.folder / ".own" / "home" / name
