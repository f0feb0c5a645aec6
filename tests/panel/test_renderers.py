"""Text and HTML: escaping, reading without tags, colours, size."""

from __future__ import annotations

import re
from html import unescape

import pytest

from colab_guard.events import MemorySampled, MirrorChanged, NotKept, UnitFinished, UnitStarted, WorkEnded, WorkStarted
from colab_guard.panel import HtmlRenderer
from colab_guard.panel.html import style
from colab_guard.panel.surfaces import bundle_bytes, live_bundle, static_bundle
from colab_guard.panel.view import LIMIT_BYTES, weight
from tests.panel.scenes import SCENES
from tests.panel.story import NAME, Story

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>'


@pytest.fixture
def story() -> Story:
    return Story()


def stripped(html: str) -> str:
    """What is left where styles and tags are removed, as GitHub and screen readers have it."""
    return unescape(re.sub(r"<[^>]+>", "", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)))


def evil_everywhere(story: Story) -> None:
    story.post(WorkStarted(name=EVIL, where=EVIL))
    story.post(UnitStarted(sweep=EVIL, index=0, total=3, label=EVIL, params={EVIL: EVIL}))
    story.post(UnitFinished(sweep=EVIL, index=0, label=EVIL, status="failed", metrics={EVIL: EVIL}, reason=EVIL))
    story.post(UnitStarted(sweep=EVIL, index=1, total=3, label=EVIL, params={EVIL: EVIL}))
    story.post(UnitFinished(sweep=EVIL, index=1, label=EVIL, status="done", metrics={EVIL: 0.5}))
    story.post(NotKept(name=EVIL, what=EVIL, why=EVIL))
    story.post(MirrorChanged(name=EVIL, state="degraded", reason=EVIL))
    story.save(position=EVIL)
    story.post(WorkEnded(name=EVIL, outcome="failed", reason=EVIL))


def test_nothing_from_outside_becomes_markup(story: Story) -> None:
    evil_everywhere(story)
    html = story.panel.html()
    assert "<script" not in html
    assert "<img" not in html
    tags = set(re.findall(r"<([a-z0-9]+)", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)))
    known = [
        "div",
        "span",
        "strong",
        "b",
        "i",
        "svg",
        "polyline",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "dl",
        "dt",
        "dd",
        "ul",
        "li",
        "time",
        "code",
        "line",
        "details",
        "summary",
    ]
    assert tags <= set(known)
    assert 'alert("1")' in stripped(html)


def test_an_attribute_cannot_be_left_by_a_quote(story: Story) -> None:
    story.post(WorkStarted(name='x" onmouseover="alert(1)'))
    assert 'onmouseover="' not in story.panel.html()


def test_control_characters_reach_no_terminal(story: Story) -> None:
    story.post(WorkStarted(name="a\x1b[2Jb\u202ec\ud800\nd"))
    assert "a [2Jb c d" in story.panel.text()
    story.panel.html().encode()


def test_the_words_still_read_in_order_without_tags_and_styles(story: Story) -> None:
    story.begin(where="FOLDER")
    story.run(0, accuracy=0.9)
    story.run(1, reason="ValueError: too big")
    story.start(2)
    story.save(units=("key 0", "key 1"))
    story.post(MemorySampled(host_used=2**30, host_limit=2**32))
    story.clock.advance(12)
    text = stripped(story.panel.html())
    for words in (
        "▶ running lora-39 for 16 s, 2 of 39 models, ends between 22:23 and 22:25 UTC as of 2023-11-14 22:13:36 UTC",
        "Safety: saved at 22:13:24 UTC, not sent to FOLDER yet: would resume at model 16, step 400",
        "sweep: 1 of 39 done, 1 failed, 37 to go",
        "run: run 2: step 3 of 400, loss 0.3333",
        "GPU: n/a",
        "RAM: 1.0 of 4.0 GiB",
        "status run parameters result steps time peak (RAM) commit",
        "✓ done run 0 rank=0 accuracy 0.9 3 steps 12 s saved 1-1",
        "✗ failed run 1 rank=1 ValueError: too big 3 steps 12 s saved 1-1",
        "… 36 more",
    ):
        assert words in re.sub(r"[ ]+", " ", text), words
    order = [text.index(word) for word in ("Safety", "sweep:", "GPU:", "✓ done", "mirror:", "colab-guard stop")]
    assert order == sorted(order)


def test_a_static_drawing_gives_times_of_day_and_a_live_one_ages(story: Story) -> None:
    story.begin()
    story.save()
    story.clock.advance(5)
    assert "saved at 22:13:20 UTC" in stripped(story.panel.html())
    assert "saved 5 s ago" in stripped(HtmlRenderer().render(story.panel.view()))


def test_what_stays_has_all_ended_runs_and_what_is_replaced_each_second_those_in_sight(story: Story) -> None:
    story.begin()
    for index in range(20):
        story.run(index)
    assert HtmlRenderer().render(story.panel.view()).count("<tr class") == 10
    assert story.panel.html().count("<tr class") == 20
    assert "29 more, the newest 10 of them here" in stripped(story.panel.html())


def test_html_is_self_contained_and_has_no_script(story: Story) -> None:
    story.begin()
    html = story.panel.html()
    assert not re.search(r"https?://|url\(|@import|src=|<link", html)
    assert 'role="progressbar"' in html
    assert 'aria-valuetext="0 of 39 done, 39 to go"' in html


def test_every_rule_of_the_style_is_scoped() -> None:
    flat = re.sub(r"@(media|container)[^{]*\{", "", style())
    selectors = [s for rule in re.findall(r"([^{}]+)\{", flat) for s in re.split(r",(?![^(]*\))", rule)]
    assert selectors
    assert [s for s in selectors if ".colab-guard" not in s] == []


@pytest.mark.parametrize("total", [39, 10_000])
@pytest.mark.parametrize("label", ["plain", "長い名前" * 30, '"\\' * 60])
def test_an_update_is_under_8_kb(story: Story, total: int, label: str) -> None:
    story.post(WorkStarted(name=label[:100], where=label))
    for index in range(60):
        params: dict[str, object] = {f"{label}{n}": label for n in range(6)}
        story.post(UnitStarted(sweep=label, index=index, total=total, label=label, params=params))
        story.post(UnitFinished(sweep=label, index=index, label=label, status="failed", metrics={label: label}, reason=label * 3))
        story.post(MemorySampled(host_used=index, host_limit=60))
        story.clock.advance(11)
    story.post(UnitStarted(sweep=label, index=60, total=total, label=label, params={}))
    story.start(60, total=total, steps=200)
    story.save(position=label)
    assert weight(story.panel.view()) <= LIMIT_BYTES
    assert bundle_bytes(live_bundle(story.panel.view())) <= LIMIT_BYTES


@pytest.mark.parametrize("scene", SCENES)
def test_without_anywidget_an_update_is_under_8_kb_too_and_keeps_what_runs_and_what_failed(scene: str) -> None:
    view = SCENES[scene]().panel.view()
    live = live_bundle(view)
    assert bundle_bytes(live) <= LIMIT_BYTES
    assert "<style>" not in live["text/html"]
    for row in view.rows:
        if row.status in ("running", "failed"):
            assert f"> {row.status} " in live["text/html"] and f">{row.label} " in live["text/html"]
    left_out = len(view.rows) - live["text/html"].count('<th scope="row">')
    assert left_out == 0 or f"… {left_out} not drawn while it runs, " in live["text/html"]


def test_what_stays_without_anywidget_has_its_style_and_all_rows() -> None:
    view = SCENES["39-runs"]().panel.view()
    html = static_bundle(view)["text/html"]
    assert html.count("<style>") == 1 and "not drawn" not in html
    assert html.count('<th scope="row">') == 39


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_has_a_contrast_of_4_5_and_bars_of_3(theme: int) -> None:
    colours = {}
    for name, light, dark in re.findall(r"--(\w+): ?light-dark\((#\w+), ?(#\w+)\)", style()):
        colour = (light, dark)[theme]
        colours[name] = colour if len(colour) == 7 else "#" + "".join(2 * c for c in colour[1:])
    for name in ("fg", "quiet", "calm", "good", "warn", "bad"):
        assert contrast(colours[name], colours["bg"]) >= 4.5, name
    assert contrast(colours["fg"], colours["track"]) >= 4.5
    for name in ("calm", "spare", "other", "bad", "fg", "quiet"):
        assert contrast(colours[name], colours["track"]) >= 3, name
    assert contrast(colours["other"], colours["bg"]) >= 3  # the edge of a button


def test_the_name_is_what_the_stop_command_takes(story: Story) -> None:
    story.begin()
    assert f"colab-guard stop {NAME}" in story.panel.text()
