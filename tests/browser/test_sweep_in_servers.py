"""A sweep in JupyterLab and in Notebook 7, with the newest kernel and with Colab's: watched, loaded again, closed and opened.

What holds on all four: the panel counts while the cell is busy; a page that is loaded again, or closed and opened, in the
middle shows it again when the cell ends, in its place, with all that was missed. Until then the page has no way to the
kernel's widgets (the kernel answers a new page's first question only between cells): Jupyter says "Loading widget..." there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.browser import gated
from tests.browser.conftest import Servers
from tests.browser.jupyter import Page, Server
from tests.kernels.harness import pythons

SHOW = "%guard panel"
# what Jupyter draws in the place of a widget that it cannot draw
BROKEN = ("javascript error", "model not found", "Error displaying widget")


@dataclass
class Story:
    """One run of the notebook, and the words that were seen on the way."""

    server: Server
    page: Page
    words: dict[str, str]
    prompts: dict[str, str]


@pytest.fixture(scope="module", params=[f"{app}-{stack}" for app in ("lab", "notebook") for stack in gated.stacks(pythons())])
def story(request: pytest.FixtureRequest, servers: Servers, browser: Any) -> Iterator[Story]:
    """A sweep that is watched for two models, loaded again in the third, closed and opened in the fourth, and ends."""
    application, stack = request.param.split("-")
    server, name = servers(application), f"sweep{stack}"
    gated.prepare(server, name)
    page = Page(server, browser, name, [*gated.cells(name), SHOW], stack, viewport={"width": 1200, "height": 1000})
    words: dict[str, str] = {}
    prompts: dict[str, str] = {}

    def note(moment: str, text: str) -> None:
        words[moment], prompts[moment] = text, page.prompt(1)

    page.run_cell(0)
    page.run_cell(1)
    for done in range(3):
        gated.go_on(server, name, done)
        note(f"{done} done", gated.wait_for_count(page, done))
    page.save()
    page.reload()
    note("loaded again", page.outputs(1))
    gated.go_on(server, name, 3)
    page.open_again()
    note("opened again", page.outputs(1))
    page.run_cell(2)  # waits for the end of the sweep's cell
    gated.go_on(server, name, gated.MODELS)
    # its own output first: a page that is loaded once more must not lose what the magic is still to show
    note("shown by the magic", gated.wait_for_count(page, gated.MODELS, cell=2))
    page.save()
    note("end", gated.wait_until_back(page, gated.MODELS))
    page.open_again()
    note("after the end", gated.wait_until_back(page, gated.MODELS))
    yield Story(server, page, words, prompts)
    page.close()


def test_each_state_is_seen_while_the_cell_is_busy(story: Story) -> None:
    assert [story.prompts[f"{done} done"] for done in range(3)] == ["[*]:"] * 3
    assert "NOT SAVED" in story.words["0 done"]
    assert "running" in story.words["0 done"]
    assert "NOT SAVED" not in story.words["2 done"]
    assert "saved" in story.words["2 done"]


def test_loaded_again_in_the_middle_its_place_waits_and_shows_the_last_state_when_the_cell_has_ended(story: Story) -> None:
    assert all("Loading widget" in story.words[moment] for moment in ("loaded again", "opened again"))
    assert "done" in story.words["end"]
    assert all(sign not in story.words[moment] for moment in ("loaded again", "opened again", "end") for sign in BROKEN)


def test_the_magic_shows_it_again(story: Story) -> None:
    assert "small" in story.words["shown by the magic"]


def test_closed_and_opened_after_the_end_it_stands_there(story: Story) -> None:
    assert all(sign not in story.words["after the end"] for sign in BROKEN)


def test_no_work_was_lost_meanwhile(story: Story) -> None:
    page = story.page
    page.run_cell(1)  # restores its results at once
    page.page.wait_for_function("() => document.querySelectorAll('.jp-InputPrompt')[1].textContent !== '[*]:'")
    assert [f"finished {done + 1}" in page.outputs(1) for done in range(gated.MODELS)] == [True] * gated.MODELS


@pytest.mark.parametrize("application", ["lab", "notebook"])
def test_a_notebook_that_was_watched_to_the_end_reads_without_a_kernel(servers: Servers, browser: Any, application: str) -> None:
    server, name = servers(application), "watched"
    gated.prepare(server, name)
    page = Page(server, browser, name, gated.cells(name))
    page.run_cell(0)
    page.run_cell(1)
    gated.wait_for_count(page, 0)
    gated.go_on(server, name, gated.MODELS)
    page.wait_for_text("as of")
    page.save()
    page.shut_down()
    page.open_again()
    words = gated.wait_for_count(page, gated.MODELS)
    assert "done" in words
    assert all(sign not in page.outputs(1) for sign in BROKEN)
    page.close()
