"""Tabs behind another: the pings still come on time.

Chromium lets the timers of a hidden page come once a second, and after five minutes once a minute; a page with an open websocket,
as Jupyter's are, is spared the latter. So there are two: a notebook, whose pings are looked at, and a page without websockets,
where the same timer (js/src/timer.js) is held against the page's own.

Each ping that comes in time was answered, too: while one is outstanding, the page sends no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from tests.browser import gated
from tests.browser.conftest import Servers
from tests.browser.jupyter import REPOSITORY, Page, tabs

EVERY_S = 5
WATCHED_S = 40
LATE_S = 8  # on a machine that is busy with other things
# Chromium begins after five minutes
THROTTLED_AT_ONCE = "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1"

# what leaves the page over its websockets is looked through for pings
RECORD = """
const send = WebSocket.prototype.send;
window.pings = [];
WebSocket.prototype.send = function (data) {
    const text = typeof data === "string" ? data : new TextDecoder().decode(data);
    const sent = /"type":\\s*"ping".*?"sent_ms":\\s*([\\d.]+)/.exec(text);
    if (sent) window.pings.push(Number(sent[1]));
    return send.call(this, data);
};
"""
FAST_MS = 100
# only timers that were set by timers are held up for a minute, as an interval is after some of its turns
COMPARE = """every => {
    window.ticks = [];
    const nested = depth => depth ? setTimeout(nested, 0, depth - 1) : setInterval(() => window.ticks.push(Date.now()), every);
    nested(10);
}"""
TIMER = (REPOSITORY / "js/src/timer.js").read_text().replace("export function", "function")
TIMED = f"every => {{ {TIMER}; window.timed = []; every_(every, () => window.timed.push(Date.now())) }}".replace("function every(", "function every_(")


@dataclass
class Hidden:
    """What the notebook did while it was hidden, and the page without websockets; in seconds from the beginning."""

    visibility: list[str]
    words: str
    pings: list[float]
    fast: list[float]
    own: list[float]
    timed: list[float]


@pytest.fixture(scope="module")
def hidden(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hidden]:
    server = servers("lab")
    gated.prepare(server, "hidden")
    with tabs(tmp_path_factory.mktemp("profile"), THROTTLED_AT_ONCE) as window:
        window.add_init_script(RECORD)
        page = Page(server, window, "hidden", gated.cells("hidden", f"{EVERY_S}s"))
        page.run_cell(0)
        page.run_cell(1)
        gated.wait_for_count(page, 0)
        page.page.wait_for_function("() => window.pings.length >= 2", timeout=60_000)
        page.page.evaluate(COMPARE, FAST_MS)
        plain = window.new_page()
        plain.route("**/*", lambda route: route.fulfill(body="a page", content_type="text/html"))
        plain.goto("http://127.0.0.1/")
        plain.evaluate(COMPARE, EVERY_S * 1000)
        plain.evaluate(TIMED, EVERY_S * 1000)
        front = window.new_page()
        front.bring_to_front()
        for behind in (page.page, plain):
            behind.wait_for_function("() => document.visibilityState === 'hidden'", polling=500, timeout=30_000)
        begin = plain.evaluate("() => Date.now()")
        front.wait_for_timeout(WATCHED_S * 1000)

        def times(behind: Any, name: str) -> list[float]:
            return since(begin, behind.evaluate("name => window[name]", name))

        yield Hidden(
            visibility=[behind.evaluate("() => document.visibilityState") for behind in (page.page, plain)],
            words=page.outputs(1),
            pings=times(page.page, "pings"),
            fast=times(page.page, "ticks"),
            own=times(plain, "ticks"),
            timed=times(plain, "timed"),
        )
        page.page.bring_to_front()
        page.close()


def since(begin: float, times_ms: list[float]) -> list[float]:
    """Seconds after `begin`, of what came after it."""
    return [(at - begin) / 1000 for at in times_ms if at >= begin]


def longest_gap(times: list[float]) -> float:
    """The longest time without any of `times`, from the beginning to the end."""
    return max(later - earlier for earlier, later in pairwise([0.0, *times, WATCHED_S]))


def test_the_tabs_are_hidden_and_timers_of_the_pages_are_held_up(hidden: Hidden) -> None:
    assert hidden.visibility == ["hidden", "hidden"]
    assert len(hidden.fast) <= 3 * WATCHED_S, f"{FAST_MS} ms was not throttled to a second"
    assert longest_gap(hidden.own) > 2 * EVERY_S + LATE_S, "nothing was throttled: the tests below would prove nothing"


def test_pings_come_on_time(hidden: Hidden) -> None:
    assert longest_gap(hidden.pings) <= EVERY_S + LATE_S, hidden.pings


def test_the_timer_is_on_time_where_the_page_s_own_comes_once_a_minute(hidden: Hidden) -> None:
    assert longest_gap(hidden.timed) <= EVERY_S + LATE_S, hidden.timed


def test_the_notebook_goes_on_saying_that_it_is_connected(hidden: Hidden) -> None:
    assert "connected: kernel heard" in hidden.words
