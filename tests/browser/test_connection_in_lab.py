"""The connection widget in a real JupyterLab: pings reach the kernel while a cell is busy, and stop with the work.

And what a person sees who leaves the page open: a lost server, a lost kernel, the way to go on, the browser's notification.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import ipykernel
import pytest

from tests.browser.jupyter import Lab, Page
from tests.browser.proxy import Proxy

CELL = """
import pathlib, time, json
from colab_guard.keepalive.connection import Connection
heard = []
def hear(content):
    heard.append(dict(content))
    pathlib.Path("pings.json").write_text(json.dumps(heard))
    return {"type": "pong", "id": content["id"]}
link = Connection(1, hear, "no idle rule <b>here</b>")
"""

BUSY = """
link.show()
link.heartbeat(time.time())  # what the kernel sends must not keep the page's pings away
while not pathlib.Path("enough").exists():
    time.sleep(0.05)
"""

AFTER = """
link.close("keep-alive: ended with the work.")
"""


def pings(page: Page) -> list[dict[str, Any]]:
    path = page.path.parent / "pings.json"
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # not yet, or being written
        return []
    return found


def wait_for_pings(page: Page, count: int, limit_s: float = 30) -> list[dict[str, Any]]:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if len(found := pings(page)) >= count:
            return found
        page.page.wait_for_timeout(100)
    raise TimeoutError(f"{len(pings(page))} of {count} pings")


@pytest.fixture
def proxy(lab: Lab) -> Iterator[Proxy]:
    made = Proxy(lab.port)
    yield made
    made.close()


@pytest.fixture
def page(lab: Lab, browser: Any, proxy: Proxy) -> Iterator[Page]:
    for name in ("pings.json", "enough"):
        (lab.folder / name).unlink(missing_ok=True)
    made = Page(lab, browser, "connection", [CELL, BUSY, AFTER], base=proxy.url, viewport={"width": 1000, "height": 800})
    yield made
    made.close()


def test_pings_reach_the_kernel_are_answered_and_stop_with_the_work(page: Page) -> None:
    checks: list[str] = []
    page.page.on("request", lambda request: checks.append(request.url))
    page.run_all()
    if int(ipykernel.__version__.split(".")[0]) >= 7:
        found = wait_for_pings(page, 3)  # the cell is still busy: subshells hear them
        assert [ping["id"] for ping in found[:3]] == [1, 2, 3]
        assert all(ping["type"] == "ping" and ping["sent_ms"] > 1e12 for ping in found)
        assert "round_trip_ms" in found[2]
        page.wait_for_text("connected: kernel heard")
    page.wait_for_text("no idle rule <b>here</b>")
    (page.path.parent / "enough").touch()
    page.wait_for_text("keep-alive: ended with the work.")
    assert any("/api/status?no_track_activity" in url for url in checks)
    ended = len(pings(page))
    page.page.wait_for_timeout(2500)
    assert len(pings(page)) == ended
    assert page.errors == []


@pytest.mark.parametrize("gone", [Proxy.cut, Proxy.hold], ids=["refuses", "is silent"])
def test_a_server_that_is_gone_is_said_in_words_and_the_page_is_not_reloaded(gone: Callable[[Proxy], None], page: Page, proxy: Proxy) -> None:
    loads: list[str] = []
    page.page.on("load", lambda _: loads.append("load"))
    page.run_all()
    page.wait_for_text("connected: kernel heard")
    gone(proxy)
    page.wait_for_text("connection LOST for", limit_s=30)
    proxy.restore()
    page.wait_for_text("was away for", limit_s=90)  # and how long, with the pings that were missed
    (page.path.parent / "enough").touch()
    page.wait_for_text("keep-alive: ended with the work.")
    assert loads == []


WORDS = """
%load_ext colab_guard
%keepalive --every 5
"""

GUARDED = """%%checkpointed NAME --every 1s
import os, pathlib, time
for step in range(100_000):
    pathlib.Path("pid").write_text(str(os.getpid()))  # here: what stands above is skipped when it goes on
    time.sleep(0.05)
    if pathlib.Path("enough").exists():
        break
"""


@pytest.fixture
def guarded(lab: Lab, browser: Any, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The notebook with guarded work under a NAME of the test's own."""
    name = request.param
    for left in ("pid", "enough"):
        (lab.folder / left).unlink(missing_ok=True)
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    context.grant_permissions(["notifications"], origin=lab.url)
    context.add_init_script(
        "window.shown = []; const Plain = window.Notification; window.Notification = class extends Plain {"
        "constructor(title, options) { super(title, options); window.shown.push([title, options.body]); } };"
    )
    made = Page(lab, context, name, [WORDS, GUARDED.replace("NAME", name)])
    yield made
    made.close()
    context.close()


def pid_of(page: Page, other_than: int = 0, limit_s: float = 60) -> int:
    """The process that runs the guarded cell, once it does."""
    path, until = page.path.parent / "pid", time.monotonic() + limit_s
    while time.monotonic() < until:
        if path.exists() and (text := path.read_text()) and int(text) != other_than:
            return int(text)
        page.page.wait_for_timeout(100)
    raise TimeoutError("the guarded cell did not begin")


@pytest.mark.parametrize("guarded", ["left-open"], indirect=True)
def test_a_kernel_that_dies_is_shown_with_the_way_to_go_on_and_the_new_one_offers_it(guarded: Page) -> None:
    page = guarded
    loads: list[str] = []
    page.run_all()
    page.wait_for_text("connected: kernel heard", limit_s=60)
    first = pid_of(page)
    page.page.on("load", lambda _: loads.append("load"))
    saved = page.path.parent / ".own/home/left-open/commits"
    until = time.monotonic() + 60
    while not (saved.is_dir() and any(saved.iterdir())) and time.monotonic() < until:
        page.page.wait_for_timeout(100)
    os.kill(first, signal.SIGKILL)
    # within 30 s, which js/test/connection.test.js holds by a clock of its own
    page.wait_for_text("left-open goes on from its last commit", limit_s=120)
    assert loads == []
    dialog = page.page.locator(".jp-Dialog button")
    if dialog.count():
        dialog.first.click()
    page.run_all()
    # other tests of the same server leave work that can be resumed, too
    page.wait_for_text(re.compile(r"To resume: (.+, )?left-open(, .+)? \(run the same cells again\)\."), limit_s=60)
    assert pid_of(page, other_than=first) != first
    (page.path.parent / "enough").touch()
    page.wait_for_text("heartbeats sent; ended with the work.", limit_s=60)


@pytest.mark.parametrize("guarded", ["told"], indirect=True)
def test_the_browser_notifies_of_the_end_where_the_user_has_allowed_it(guarded: Page) -> None:
    page = guarded
    page.run_all()
    page.wait_for_text("connected: kernel heard", limit_s=60)
    pid_of(page)
    (page.path.parent / "enough").touch()
    page.wait_for_text("heartbeats sent; ended with the work.", limit_s=60)
    page.page.wait_for_function("() => window.shown.length > 0", timeout=30_000)
    ((title, text),) = page.page.evaluate("() => window.shown")
    assert title == "told: done" and text.startswith("done after ") and text.endswith(" on JupyterLab")


@pytest.mark.parametrize("guarded", ["reloaded"], indirect=True)
def test_a_page_that_was_loaded_again_shows_how_it_ended_and_no_error_in_the_widgets_place(guarded: Page) -> None:
    page = guarded
    page.run_all()
    page.wait_for_text("connected: kernel heard", limit_s=60)
    page.saved()
    page.page.reload()
    page.wait_for_text("Loading widget...", limit_s=60)  # while the cell is busy a kernel tells a new page nothing
    (page.path.parent / "enough").touch()
    page.wait_for_text("heartbeats sent; ended with the work.", limit_s=60)
