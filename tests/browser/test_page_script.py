"""`--page-script` in a real Chromium, on a page that imitates Colab's, with its real times on a clock that is moved by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from colab_guard.keepalive.page_script import COLAB_FRAMES, bookmark, page_script
from tests.browser.imitation import Origin

NONCE, OTHER = "5f" * 16, "60" * 16
CHECK_MS = 30_000
QUARTER_MS = 15 * 60_000


class Origins:
    """The page's, that of its outputs, and a stranger's."""

    def __init__(self) -> None:
        self.page, self.outputs, self.stranger = Origin(), Origin(), Origin()

    @property
    def frames(self) -> str:
        return f"^{re.escape(self.outputs.url)}$"

    def close(self) -> None:
        for origin in (self.page, self.outputs, self.stranger):
            origin.close()


@pytest.fixture(scope="module")
def origins() -> Iterator[Origins]:
    made = Origins()
    yield made
    made.close()


class Colab:
    """The imitated page with the script in it, and a frame that holds the real connection widget."""

    def __init__(self, browser: Any, origins: Origins, *, touch: bool = False, script: bool = True, **traits: Any) -> None:
        self.origins = origins
        self.page = browser.new_page()
        self.page.clock.install()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.goto(f"{origins.page.url}/page")
        self.page.clock.pause_at(self.page.evaluate("Date.now() + 1000"))
        if script:
            self.page.evaluate(page_script(NONCE, touch=touch, page=origins.page.url, frames=origins.frames))
        self.frame: Any = None
        if traits:
            self.frame = self.add_frame(origins.outputs.url, **traits)

    def add_frame(self, origin: str, **traits: Any) -> Any:
        """An output; its timers are the page's, which the clock moves: a worker's would run by themselves."""
        before = len(self.page.frames)
        address = f"{origin}/frame-without-workers#{quote(json.dumps({'page': self.origins.page.url, **traits}))}"
        self.page.evaluate(
            "(src) => { const f = document.createElement('iframe'); f.src = src; f.sandbox = 'allow-scripts allow-same-origin';"
            "document.body.append(f); }",
            address,
        )
        while len(self.page.frames) == before:
            self.page.wait_for_event("frameattached")
        frame = self.page.frames[-1]
        frame.wait_for_function("() => window.away")
        return frame

    def heard(self, working: bool = True) -> None:
        """Wait until the script has heard the widget say that it works, or no longer."""
        self.page.wait_for_function(f"() => window.colabGuardPage?.state().working === {json.dumps(working)}")

    def pass_ms(self, ms: int, *, beating: bool = True) -> None:
        """Let time pass in steps of 10 s, at each of which the kernel gives a sign of life."""
        while ms > 0:
            step = min(ms, 10_000)
            if beating and self.frame is not None:
                self.frame.evaluate("() => window.model.beat()")
            self.page.clock.run_for(step)
            if self.frame is not None:
                self.frame.evaluate("() => 0")  # what was posted has been sent, and is delivered in order
            self.page.evaluate("() => new Promise((done) => { const c = new MessageChannel(); c.port1.onmessage = () => done(); c.port2.postMessage(0); })")
            ms -= step

    @property
    def pressed(self) -> int:
        count: int = self.page.evaluate("() => window.pressed")
        return count

    @property
    def ended(self) -> bool:
        found: bool = self.page.evaluate("() => window.colabGuardPage === undefined")
        return found

    def show(self, text: str) -> None:
        self.page.evaluate("(text) => window.connection(text)", text)

    def close(self) -> None:
        self.page.close()


@pytest.fixture
def colab(browser: Any, origins: Origins) -> Iterator[Any]:
    made: list[Colab] = []

    def make(**settings: Any) -> Colab:
        made.append(Colab(browser, origins, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def working(colab: Any, **settings: Any) -> Colab:
    made: Colab = colab(nonce=NONCE, **settings)
    made.heard()
    return made


def test_it_presses_connect_while_guarded_work_runs_five_times_at_most_and_then_ends(colab: Any) -> None:
    page = working(colab)
    assert page.pressed == 0, "the first look is after 30 s"
    for expected in (1, 2, 3):
        page.pass_ms(CHECK_MS)
        assert page.pressed == expected
    page.pass_ms(10 * CHECK_MS)
    assert page.pressed == 5 and page.ended
    assert "colab_guard: the page script has ended: it has pressed Connect five times" in page.said


@pytest.mark.parametrize("text", ["Connect", " Connect T4 ", "RECONNECT"])
def test_words_of_a_runtime_that_is_disconnected(text: str, colab: Any) -> None:
    page = working(colab)
    page.show(text)
    page.pass_ms(CHECK_MS)
    assert page.pressed == 1


@pytest.mark.parametrize("text", ["RAM Disk", "Connecting", "Connected", "Allocating", "Initializing", "Busy", ""])
def test_it_presses_nothing_while_the_runtime_is_there_or_coming(text: str, colab: Any) -> None:
    page = working(colab)
    page.show(text)
    page.pass_ms(6 * CHECK_MS)
    assert page.pressed == 0 and not page.ended


def test_before_any_work_was_heard_of_it_presses_nothing_and_ends_after_two_hours(colab: Any) -> None:
    page = colab()
    page.pass_ms(10 * CHECK_MS)
    assert page.pressed == 0 and not page.ended
    page.page.clock.fast_forward(2 * 3_600_000)
    page.page.clock.run_for(CHECK_MS)
    assert page.pressed == 0 and page.ended


def test_another_runs_nonce_is_not_heard(colab: Any) -> None:
    page = colab(nonce=OTHER)
    page.pass_ms(6 * CHECK_MS)
    assert page.pressed == 0 and page.page.evaluate("() => colabGuardPage.state().heard") == 0


def test_a_frame_of_another_origin_is_not_heard_although_it_knows_the_nonce_and_that_is_said(colab: Any, origins: Origins) -> None:
    page = colab()
    page.frame = page.add_frame(origins.stranger.url, nonce=NONCE)
    page.pass_ms(6 * CHECK_MS)
    assert page.pressed == 0 and page.page.evaluate("() => colabGuardPage.state().heard") == 0
    assert sum(f"passed over what {origins.stranger.url} says" in line for line in page.said) == 1


def test_the_page_itself_is_not_heard_either(colab: Any) -> None:
    page = colab()
    page.page.evaluate(
        "(nonce) => window.postMessage({ colab_guard: { nonce, state: 'working', at: Date.now() } }, '*')", NONCE
    )
    page.pass_ms(2 * CHECK_MS)
    assert page.pressed == 0


def test_what_was_said_more_than_a_quarter_of_an_hour_ago_does_not_count_and_ends_it(colab: Any) -> None:
    page = working(colab)
    page.show("RAM Disk")
    page.pass_ms(QUARTER_MS + CHECK_MS, beating=False)  # the kernel is silent: the widget says nothing more
    page.show("Reconnect")
    page.pass_ms(4 * CHECK_MS, beating=False)
    assert page.pressed == 0 and page.ended
    assert any("has not been heard of for long" in line for line in page.said)


def test_in_the_quarter_of_an_hour_after_the_last_word_it_still_presses(colab: Any) -> None:
    page = working(colab)
    page.show("RAM Disk")
    page.pass_ms(QUARTER_MS - 3 * CHECK_MS, beating=False)
    page.show("Reconnect")
    page.pass_ms(CHECK_MS, beating=False)
    assert page.pressed == 1 and not page.ended


def test_a_message_that_was_under_way_for_too_long_does_not_count(colab: Any) -> None:
    page = colab(script=True)
    frame = page.add_frame(page.origins.outputs.url, nonce="")
    for at in ("Date.now() - 16 * 60000", "'soon'", "undefined"):
        frame.evaluate(f"([nonce, page]) => top.postMessage({{ colab_guard: {{ nonce, state: 'working', at: {at} }} }}, page)", [NONCE, page.origins.page.url])
    page.pass_ms(3 * CHECK_MS)
    assert page.pressed == 0 and not page.page.evaluate("() => colabGuardPage.state().working")


DIALOGS = {
    "the page's own": "document.body.insertAdjacentHTML('beforeend', '<div role=dialog id=asks style=\"height:80px\">Are you still there?</div>')",
    "an element's": "const d = document.createElement('dialog'); d.id = 'asks'; d.textContent = 'Still there?'; document.body.append(d); d.showModal()",
    "in a shadow root": "document.querySelector('colab-shell').shadowRoot.innerHTML = '<div aria-modal=true style=\"height:80px\">Runtime disconnected</div>'",
    "an old one": "document.body.insertAdjacentHTML('beforeend', '<paper-dialog id=asks style=\"display:block;height:80px\">Reconnect?</paper-dialog>')",
    "a CAPTCHA": "document.body.insertAdjacentHTML('beforeend', '<iframe id=asks title=\"recaptcha challenge\" style=\"height:400px\"></iframe>')",
    "a CAPTCHA's checkbox": "document.body.insertAdjacentHTML('beforeend', '<iframe id=asks title=reCAPTCHA style=\"height:78px;border:0\"></iframe>')",
}


@pytest.mark.parametrize("kind", DIALOGS)
def test_while_a_prompt_or_captcha_is_open_it_does_nothing_and_answers_nothing(kind: str, colab: Any) -> None:
    page = working(colab)
    page.page.evaluate(f"() => {{ {DIALOGS[kind]} }}")
    page.pass_ms(4 * CHECK_MS)
    assert page.pressed == 0
    assert any("that is for a person to answer" in line for line in page.said)
    page.page.evaluate("() => { document.getElementById('asks')?.remove(); document.querySelector('colab-shell').shadowRoot.innerHTML = ''; }")
    page.pass_ms(CHECK_MS)
    assert page.pressed == 1


def test_dialogs_that_are_closed_and_a_captchas_badge_do_not_count(colab: Any) -> None:
    page = working(colab)
    page.page.evaluate(
        "() => document.body.insertAdjacentHTML('beforeend', '<dialog>x</dialog><paper-dialog style=\"display:none\">x</paper-dialog>"
        "<div role=dialog style=\"visibility:hidden\">x</div><iframe title=recaptcha style=\"height:60px\"></iframe>')"
    )
    page.pass_ms(CHECK_MS)
    assert page.pressed == 1


def test_when_the_work_has_ended_nothing_is_pressed_any_more(colab: Any) -> None:
    page = working(colab)
    page.frame.evaluate("() => window.model.set('active', false)")
    page.heard(working=False)
    page.pass_ms(4 * CHECK_MS)
    assert page.pressed == 0
    page.page.clock.fast_forward(QUARTER_MS)
    page.page.clock.run_for(CHECK_MS)
    assert page.ended


def test_it_is_stopped_by_hand_and_a_second_one_takes_the_place_of_the_first(colab: Any, origins: Origins) -> None:
    page = working(colab)
    page.page.evaluate(page_script(NONCE, page=origins.page.url, frames=origins.frames))
    assert sum("stopped by hand" in line for line in page.said) == 1
    page.pass_ms(CHECK_MS)
    assert page.pressed == 1, "one of them presses"
    page.page.evaluate("() => colabGuardPage.stop()")
    page.pass_ms(4 * CHECK_MS)
    assert page.pressed == 1 and page.ended


def test_the_touch_is_there_only_where_it_was_typed_and_only_while_work_runs_with_a_runtime(colab: Any) -> None:
    plain = working(colab)
    plain.show("RAM Disk")
    plain.pass_ms(4 * 60_000)
    assert plain.page.evaluate("() => window.moved") == 0
    page = working(colab, touch=True)
    page.show("RAM Disk")
    page.pass_ms(3 * 60_000)
    assert page.page.evaluate("() => window.moved") == 3
    page.frame.evaluate("() => window.model.set('active', false)")
    page.heard(working=False)
    page.pass_ms(3 * 60_000)
    assert page.page.evaluate("() => window.moved") == 3 and page.pressed == 0


def test_on_any_other_page_it_does_nothing_and_says_so(colab: Any) -> None:
    page = colab(script=False)
    page.page.evaluate(page_script(NONCE))
    assert page.ended and any("this is for https://colab.research.google.com and does nothing on" in line for line in page.said)


def test_as_a_bookmark_it_is_the_same(colab: Any, origins: Origins) -> None:
    page = colab(script=False)
    address = bookmark(NONCE, page=origins.page.url, frames=origins.frames)
    assert "\n" not in address
    page.page.evaluate("(address) => { const a = document.createElement('a'); a.href = address; document.body.append(a); a.click(); }", address)
    page.page.wait_for_function("() => window.colabGuardPage")
    page.frame = page.add_frame(origins.outputs.url, nonce=NONCE)
    page.heard()
    page.pass_ms(CHECK_MS)
    assert page.pressed == 1


@pytest.mark.parametrize(
    ("origin", "is_colabs"),
    [
        ("https://abcdefgh12-496ff2e9c6d22116-0-colab.googleusercontent.com", True),
        ("https://colab.research.google.com", False),
        ("https://evil-colab.googleusercontent.com.example.org", False),
        ("http://x-colab.googleusercontent.com", False),
        ("https://x-colabXgoogleusercontent.com", False),
    ],
)
def test_which_frames_are_colabs_outputs(origin: str, is_colabs: bool) -> None:
    assert bool(re.search(COLAB_FRAMES, origin)) == is_colabs
