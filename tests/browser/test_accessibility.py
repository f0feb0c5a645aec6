"""The panel and the connection's widget as axe-core sees them, in Chromium: no violations, on any page that is photographed, and on
real zoom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.panel import pages
from tests.panel.scenes import SCENES
from tests.panel.screenshots import SHOTS, STATIC

AXE = Path(__file__).parents[2] / "js/node_modules/axe-core/axe.min.js"
# "best-practice" asks for landmarks and headings of whole pages, which a cell's output is none of
RUN = """async () => {
    const found = await axe.run('.colab-guard', { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] });
    return { violations: found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(' | ')}`),
             unsure: found.incomplete.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(' | ')}`),
             passes: found.passes.map((one) => one.id) };
}"""


def look(page: Any) -> dict[str, list[str]]:
    """What axe finds in the widget of `page`."""
    assert AXE.exists(), "axe-core is not installed: run `npm ci` in js/"
    page.clock.resume()  # axe waits for timers
    page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    found: dict[str, list[str]] = page.evaluate(RUN)
    return found


@pytest.fixture
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    name = request.param
    if name in SHOTS:
        scene, how, touch = SHOTS[name]
        made = pages.opened(browser, SCENES[scene]().panel.view(), **how)
        touch(made)
    else:
        scene, how = STATIC[name]
        made = pages.static(browser, SCENES[scene]().panel.html(), **how)
    yield made
    made.close()


@pytest.mark.parametrize("page", [*SHOTS, *STATIC], indirect=True)
def test_axe_finds_nothing(page: Any) -> None:
    found = look(page)
    assert found["violations"] == []
    assert [one for one in found["unsure"] if not one.startswith("color-contrast:")] == []
    assert {"color-contrast", "aria-progressbar-name"} <= set(found["passes"])


def test_axe_sees_what_is_wrong(browser: Any) -> None:
    page = pages.opened(browser, SCENES["running"]().panel.view())
    page.evaluate("() => { leave(); for (const bar of document.querySelectorAll('[role=progressbar]')) bar.removeAttribute('aria-label') }")
    page.add_style_tag(content=".colab-guard .quiet { color: #bbb !important }")
    names = {one.split(":")[0] for one in look(page)["violations"]}
    assert {"aria-progressbar-name", "color-contrast"} <= names
    page.close()


def test_a_keyboard_reaches_and_works_everything(browser: Any) -> None:
    page = pages.opened(browser, SCENES["running"]().panel.view(), answer="stopping after this model")
    reached: list[str] = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.textContent.trim() || document.activeElement.getAttribute('aria-label') || ''"))
        if reached[-1] == "stop after this model":
            break
    assert reached[:1] == ["pause display"]
    assert "filter runs by text" in reached and "result" in reached and "show all 13" in reached
    page.keyboard.press("Enter")
    page.locator(".asks").get_by_text("stopping after this model", exact=True).last.wait_for()
    outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.close()


def test_only_events_are_spoken_and_there_is_one_place_for_it(browser: Any) -> None:
    page = pages.opened(browser, SCENES["running"]().panel.view())
    live = page.locator("[aria-live], [role=status], [role=alert], [role=log]")
    assert live.count() == 1
    assert live.get_attribute("aria-live") == "polite"
    before = live.text_content()
    assert "resnet-18 r2 failed" in before
    page.clock.run_for(5000)  # times run on, nothing is spoken
    assert live.text_content() == before
    page.close()


@pytest.mark.parametrize("width", [320, 640])
@pytest.mark.parametrize("scene", SCENES)
def test_nothing_is_cut_off_at_320_pixels_or_at_200_percent(browser: Any, scene: str, width: int) -> None:
    # 200 % of a page that is 1280 wide is a page of 640 with twice the pixels
    for page in (
        pages.opened(browser, SCENES[scene]().panel.view(), width=width, device_scale_factor=2),
        pages.static(browser, SCENES[scene]().panel.html(), width=width),
    ):
        assert cut_off(page) == []
        page.close()


def cut_off(page: Any) -> list[str]:
    """What is wider than `page`."""
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('.colab-guard *')].filter((element) => !element.closest('.unheard, details:not([open]) > div'))
            .filter((element) => element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.outerHTML.slice(0, 80))"""
    )
    return found


NOW = 1_700_000_000
RULE = "Colab ends an idle runtime after 90 min. Nothing inside the machine can extend Colab's limits."
RESUME = "run the same cells again in the new kernel: lora-39 goes on from its last commit"
CONNECTION: dict[str, tuple[dict[str, Any], int, str]] = {
    "connected": ({"last_heartbeat": NOW}, 0, "connected: kernel heard"),
    "opened-again": ({"last_heartbeat": NOW, "beats": 7}, 0, "opened again while the work runs"),
    "waiting": ({}, 0, "waiting for the kernel's first sign"),
    "silent": ({"last_heartbeat": NOW}, 60, "kernel SILENT for"),
    "ended": ({"active": False, "ended": "keep-alive: 12 heartbeats sent; ended with the work."}, 0, "12 heartbeats sent"),
}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("state", CONNECTION)
def test_axe_finds_nothing_in_the_connections_widget_and_at_320_pixels_nothing_is_cut_off(browser: Any, state: str, dark: bool) -> None:
    traits, later_s, words = CONNECTION[state]
    page = pages.connection(browser, NOW, width=320, dark=dark, status=RULE, resume=RESUME, **traits)
    page.clock.run_for(later_s * 1000)
    page.get_by_text(words).wait_for()
    assert page.get_by_role("button", name="notify me in this browser").count() == (state != "ended")
    assert cut_off(page) == []
    found = look(page)
    assert found["violations"] == []
    assert "color-contrast" in found["passes"]
    page.close()


def test_motion_is_left_out_where_the_system_asks_for_that(browser: Any) -> None:
    moves = "() => getComputedStyle(document.querySelector('.colab-guard .track i')).transitionDuration"
    for wish, duration in (("reduce", "0s"), ("no-preference", "0.4s")):
        page = pages.opened(browser, SCENES["running"]().panel.view(), reduced_motion=wish)
        assert page.evaluate(moves) == duration
        page.close()


@pytest.mark.parametrize(
    ("marker", "dark"),
    [
        ("document.body.dataset.jpThemeLight = 'false'", True),
        ("document.body.dataset.jpThemeLight = 'true'", False),
        ("document.body.className = 'vscode-dark'", True),
        ("document.body.className = 'vscode-light'", False),
        ("document.body.className = 'vscode-high-contrast'", True),
        ("document.documentElement.setAttribute('theme', 'dark')", True),
        ("document.documentElement.setAttribute('theme', 'light')", False),
    ],
)
def test_the_hosts_marker_wins_over_the_system(browser: Any, marker: str, dark: bool) -> None:
    for system_dark in (False, True):
        page = pages.opened(browser, SCENES["running"]().panel.view(), dark=system_dark)
        colour = "() => getComputedStyle(document.querySelector('.colab-guard')).backgroundColor"
        assert page.evaluate(colour) == ("rgb(22, 25, 29)" if system_dark else "rgb(255, 255, 255)")
        page.evaluate(f"() => {{ {marker} }}")
        assert page.evaluate(colour) == ("rgb(22, 25, 29)" if dark else "rgb(255, 255, 255)")
        assert look(page)["violations"] == []
        page.close()
