"""jupyter_server with `cull_idle_timeout=20`: idle kernels go, those with guarded work and `%keepalive` stay until it ends.

Two servers at the same time. One culls as it does by default: kernels that nobody is connected to, and that are not busy. The
other is the strictest that there is: it also culls kernels with a page open (`cull_connected`) and ones that are busy (`cull_busy`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.browser.jupyter import Page, Server, chromium
from tests.servers.kernels import Client, Kernel

IDLE_S = 20
LOOK_S = 2
LEAST_S = IDLE_S / 2  # the server counts from the last message, the test from when it has seen it
STAYS_S = 3 * IDLE_S
CULLED_WITHIN_S = 90  # the timeout, and much for a machine that is busy
CULLING = {
    "MappingKernelManager.cull_idle_timeout": IDLE_S,
    "MappingKernelManager.cull_interval": LOOK_S,
    "ServerApp.disable_check_xsrf": True,  # kernels are started without a page
}
STRICTEST = {"MappingKernelManager.cull_connected": True, "MappingKernelManager.cull_busy": True}

# no panel: each of its updates is a message, and would keep the kernel as well
LOAD = """
import pathlib, time
print("loading")  # each message is activity: loading may take long on a machine that is busy
import colab_guard
print("loaded")
from colab_guard.session import current
%load_ext colab_guard
current().panel_factory = None
"""
KEEPALIVE = "%keepalive --every 5"
# guarded work that is one cell, and publishes nothing
WORK = """
print("begun")
with colab_guard.work("training"):
    while not pathlib.Path("NAME.enough").exists():
        time.sleep(0.1)
"""
# the same in a thread, so that the kernel looks idle to the server while guarded work runs
APART = """
import threading
def train():
    with colab_guard.work("training"):
        while not pathlib.Path("NAME.enough").exists():
            time.sleep(0.1)
threading.Thread(target=train, daemon=True).start()
print("begun")
"""


@dataclass
class Culled:
    """What was seen: how long each kernel lived after it had begun, and whether it stayed while it should."""

    lived_s: dict[str, float] = field(default_factory=dict)
    stayed: dict[str, bool] = field(default_factory=dict)


class Watched:
    """Kernels of one server by name, and the files that end their work."""

    def __init__(self, folder: Path, options: dict[str, object]) -> None:
        folder.mkdir()
        self.server = Server(folder, "lab", options=options)
        self.client = Client(self.server.url)
        self.kernels: dict[str, Kernel] = {}
        self.begun: dict[str, float] = {}

    def start(self, name: str, *cells: str) -> None:
        """A kernel that has run `cells`; the last of them goes on running when it has printed "begun"."""
        self.kernels[name] = kernel = self.client.kernel()
        for cell in cells[:-1]:
            kernel.run(cell)
        kernel.run(cells[-1].replace("NAME", name), wait_for="begun")
        self.begun[name] = time.monotonic()

    def open(self, name: str, browser: Any, *cells: str) -> Page:
        """The same in a page, which stays open."""
        page = Page(self.server, browser, name, [*(cell.replace("NAME", name) for cell in cells)])
        for number in range(len(cells)):
            page.run_cell(number)
        page.wait_for_text("begun", limit_s=120)
        self.begun[name] = time.monotonic()
        (session,) = (one for one in self.client.quietly("api/sessions") if one["path"] == page.path.name)
        self.kernels[name] = Kernel(self.client, session["kernel"]["id"])
        return page

    def end_work(self, name: str) -> None:
        (self.server.folder / f"{name}.enough").touch()


@pytest.fixture(scope="module")
def culled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Culled]:
    """All kernels are started, left alone for three timeouts, then their work ends. They wait at the same time."""
    folder = tmp_path_factory.mktemp("culling")
    default, strictest = Watched(folder / "default", CULLING), Watched(folder / "strictest", {**CULLING, **STRICTEST})
    found = Culled()
    try:
        with chromium() as browser:
            # pages take longest to open: those whose kernels stay first, none of the others waits for them
            strictest.open("page kept", browser, LOAD, KEEPALIVE, WORK)
            strictest.open("page busy", browser, LOAD, WORK)
            strictest.open("page idle", browser, 'print("begun")')
            strictest.start("kept busy", LOAD, KEEPALIVE, WORK)
            default.start("kept", LOAD, KEEPALIVE, APART)
            strictest.start("busy", LOAD, WORK)
            default.start("idle", 'print("begun")')
            kernels = {**default.kernels, **strictest.kernels}
            begun = {**default.begun, **strictest.begun}
            began = time.monotonic()
            waiting = set(kernels)
            while time.monotonic() - began < STAYS_S or {"idle", "busy", "page idle", "page busy"} & waiting:
                assert time.monotonic() - began < CULLED_WITHIN_S + STAYS_S, f"still there: {waiting}"
                for name in sorted(waiting):
                    if not kernels[name].alive:
                        found.lived_s[name] = time.monotonic() - begun[name]
                        waiting.remove(name)
                time.sleep(0.5)
            for name, watched in {"kept": default, "kept busy": strictest, "page kept": strictest}.items():
                found.stayed[name] = kernels[name].alive
                watched.end_work(name)
            for name in found.stayed:
                if found.stayed[name]:
                    kernels[name].wait_until_culled(CULLED_WITHIN_S)
                    found.lived_s[name] = time.monotonic() - begun[name]
        yield found
    finally:
        for watched in (default, strictest):
            watched.server.close()


@pytest.mark.parametrize("name", ["idle", "page idle"])
def test_an_idle_kernel_is_culled(culled: Culled, name: str) -> None:
    assert culled.lived_s[name] > LEAST_S, "it has gone before it can have counted as idle"


@pytest.mark.parametrize("name", ["busy", "page busy"])
def test_guarded_work_alone_does_not_keep_a_kernel_where_busy_ones_are_culled(culled: Culled, name: str) -> None:
    assert culled.lived_s[name] > LEAST_S, "it has gone before it can have counted as idle"


@pytest.mark.parametrize("name", ["kept", "kept busy", "page kept"])
def test_with_keepalive_it_stays_for_as_long_as_guarded_work_runs_and_is_culled_afterwards(culled: Culled, name: str) -> None:
    assert culled.stayed[name], f"culled after {culled.lived_s[name]:.0f} s of work"
    assert culled.lived_s[name] > STAYS_S
