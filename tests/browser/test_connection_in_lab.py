"""The connection widget in a real JupyterLab: pings reach the kernel while a cell is busy, and stop with the work."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import ipykernel
import pytest

from tests.browser.jupyter import Lab, Page

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
def page(lab: Lab, browser: Any) -> Iterator[Page]:
    for name in ("pings.json", "enough"):
        (lab.folder / name).unlink(missing_ok=True)
    made = Page(lab, browser, "connection", [CELL, BUSY, AFTER], viewport={"width": 1000, "height": 800})
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


def test_a_server_that_is_gone_is_said_in_words_and_the_page_is_not_reloaded(page: Page) -> None:
    loads: list[str] = []
    page.page.on("load", lambda _: loads.append("load"))
    page.run_all()
    page.wait_for_text("connected: kernel heard")
    page.page.route("**/api/status*", lambda route: route.abort())
    page.wait_for_text("connection LOST for")
    page.page.unroute("**/api/status*")
    page.wait_for_text("connected: kernel heard")
    (page.path.parent / "enough").touch()
    page.wait_for_text("keep-alive: ended with the work.")
    assert loads == []
