"""The connection widget in a real Chromium without Jupyter: its timer where workers are allowed and where a policy forbids them, the
words to the page around it, and the browser's notification."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser.imitation import Origin

LATE_MS = 20_000  # on a machine that is busy with other things; a timer that is held up comes once a minute
COUNT = """
window.made = []; window.refused = [];
const Plain = window.Worker;
window.Worker = class extends Plain { constructor(...given) { super(...given); window.made.push(this); } };
document.addEventListener("securitypolicyviolation", (event) => window.refused.push(event.effectiveDirective));
"""


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    made = Origin()
    yield made
    made.close()


def widget(browser: Any, origin: Origin, path: str, **traits: Any) -> Any:
    page = browser.new_page()
    page.add_init_script(COUNT)
    page.goto(f"{origin.url}/{path}#{quote(json.dumps({'every_s': 1, 'beat_s': 1, **traits}))}")
    page.wait_for_function("() => window.away")
    return page


def answered(page: Any, count: int) -> list[dict[str, Any]]:
    """Answer each ping as it comes, until there were so many."""
    page.evaluate(
        "() => { const send = model.send.bind(model); model.send = (content) => { send(content);"
        "setTimeout(() => model.emit('msg:custom', { type: 'pong', id: content.id })); }; }"
    )
    page.wait_for_function("(count) => model.sent.length >= count", arg=count, timeout=60_000)
    sent: list[dict[str, Any]] = page.evaluate("() => model.sent")
    return sent


@pytest.mark.parametrize(("path", "by_worker"), [("frame", True), ("frame-without-workers", False)])
def test_pings_come_on_time_by_a_worker_and_where_a_policy_forbids_it_by_the_page(
    path: str, by_worker: bool, browser: Any, origin: Origin
) -> None:
    page = widget(browser, origin, path)
    sent = answered(page, 5)
    assert [ping["id"] for ping in sent[:5]] == [1, 2, 3, 4, 5]
    assert all(ping["type"] == "ping" and ping["sent_ms"] > 1e12 for ping in sent)
    assert all("round_trip_ms" in ping for ping in sent[2:])
    assert sent[4]["came"] - sent[0]["came"] < 4 * 1000 + LATE_MS, "one each second"
    assert ("worker-src" in page.evaluate("() => window.refused")) is not by_worker
    page.get_by_text("connected: kernel heard").wait_for(timeout=30_000)
    page.close()


def test_where_workers_are_allowed_the_pages_own_timers_do_not_ping(browser: Any, origin: Origin) -> None:
    page = browser.new_page()
    # a hidden tab's timers may come once a minute; here they never come, and a worker's do
    page.add_init_script("window.setInterval = () => 0;")
    page.goto(f"{origin.url}/frame#{quote(json.dumps({'every_s': 1, 'beat_s': 1}))}")
    page.wait_for_function("() => window.away")
    assert len(answered(page, 4)) >= 4
    page.close()


def test_one_ping_is_outstanding_and_all_ends_with_the_work(browser: Any, origin: Origin) -> None:
    page = widget(browser, origin, "frame", every_s=2)
    page.wait_for_function("() => model.sent.length >= 3", timeout=60_000)
    came = [ping["came"] for ping in page.evaluate("() => model.sent")]
    assert all(after - before > 3_000 for before, after in itertools.pairwise(came)), "unanswered ones are given up after two intervals"
    page.evaluate("() => model.set('active', false)")
    page.get_by_text("keep-alive ended with the work").wait_for()
    ended = page.evaluate("() => model.sent.length")
    page.evaluate("() => new Promise((done) => setTimeout(done, 5000))")
    assert page.evaluate("() => model.sent.length") == ended
    page.close()


def test_a_silent_kernel_is_said_within_thirty_seconds_and_what_was_missed_after_it_is_back(browser: Any, origin: Origin) -> None:
    page = browser.new_page()
    page.clock.install()
    page.goto(f"{origin.url}/frame-without-workers#{quote(json.dumps({'resume': 'run the same cells again: lora goes on'}))}")
    page.wait_for_function("() => window.away")
    page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    page.evaluate("() => model.beat()")
    page.clock.run_for(24_000)
    page.get_by_text("connected: kernel heard").wait_for()
    page.clock.run_for(5_000)
    page.get_by_text("kernel SILENT for 29 s").wait_for()
    page.get_by_text("If it is gone, run the same cells again: lora goes on").wait_for()
    page.clock.run_for(46_000)
    page.evaluate("() => model.beat()")
    page.get_by_text("was away for 1 min 15 s").wait_for()
    page.close()


def test_the_browser_is_asked_on_a_click_and_then_notifies(browser: Any, origin: Origin) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        "window.shown = []; const Plain = window.Notification;"
        "window.Notification = class extends Plain { constructor(title, options) { super(title, options); window.shown.push([title, options.body]); } };"
    )
    context.grant_permissions(["notifications"], origin=origin.url)
    page.goto(f"{origin.url}/frame")
    page.wait_for_function("() => window.away")
    page.evaluate("() => model.emit('msg:custom', { type: 'news', title: 'lora: done', text: 'after 2 h' })")
    assert page.evaluate("() => window.shown") == [["lora: done", "after 2 h"]]
    page.close()
    context.close()


def test_where_the_user_has_not_decided_a_button_asks_and_in_a_frame_of_another_origin_none_does(browser: Any, origin: Origin) -> None:
    page = widget(browser, origin, "frame")
    page.get_by_role("button", name="notify me in this browser").wait_for()
    page.close()
    other = Origin()
    page = browser.new_page()
    page.goto(f"{other.url}/page")
    page.evaluate("(src) => { const f = document.createElement('iframe'); f.src = src; document.body.append(f); }", f"{origin.url}/frame")
    frame = page.frame_locator("iframe")
    frame.get_by_text("connected: kernel heard").wait_for()
    assert frame.get_by_role("button").count() == 0, "browsers refuse notifications from there, as from Colab's outputs"
    page.close()
    other.close()
