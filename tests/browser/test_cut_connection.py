"""The network between page and server is cut for 20 s, for 75 s, and swallows everything for 25 s, while a sweep runs.

The three cuts run at the same time, each through a proxy of its own. The kernel goes on meanwhile; what it published is there
when the network is, without the page being loaded again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.browser import gated
from tests.browser.conftest import Servers
from tests.browser.jupyter import Page, Server
from tests.browser.proxy import Proxy

NOTICED_WITHIN_S = 30
PANEL = "No news from the kernel"
CONNECTION = "LOST|SILENT"
BACK_WITHIN_S = 90  # JupyterLab tries again after longer and longer times
FINISHED_MEANWHILE = 4

# the page's own clock: the test looks at one page after the other, and would be late
NOTICE = """(patterns) => {
    const began = Date.now();
    const look = () => {
        const words = [...document.querySelectorAll('.colab-guard')].map(root => root.innerText);
        for (const pattern of patterns) {
            const lost = words.find(text => RegExp(pattern).test(text));
            if (lost) window.noticed[pattern] ??= [(Date.now() - began) / 1000, lost];
        }
    };
    window.noticed = {};
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


@dataclass
class Cut:
    """One page behind a proxy, and what it said."""

    name: str
    seconds: float
    begin: Callable[[Proxy], None]
    server: Server
    proxy: Proxy
    page: Page
    began: float = 0.0
    words: dict[str, str] = field(default_factory=dict)

    def connection(self, pattern: str) -> Any:
        """The connection's words, where they are like `pattern`."""
        return self.page.cell(1).locator(".colab-guard").filter(has_text=re.compile(pattern)).first

    def start(self) -> None:
        """Run the sweep until its first model is done, seen in the page."""
        self.page.run_cell(0)
        self.page.run_cell(1)
        gated.go_on(self.server, self.name, 1)
        gated.wait_for_count(self.page, 1)
        self.connection("connected: kernel heard").wait_for(timeout=30_000)
        # a page that was loaded again would not know it
        self.page.page.evaluate("() => { window.sameAsBefore = true }")

    def cut(self) -> None:
        self.page.page.evaluate(NOTICE, [CONNECTION, PANEL])
        self.begin(self.proxy)
        self.began = time.monotonic()
        gated.go_on(self.server, self.name, FINISHED_MEANWHILE)

    def noticed(self, pattern: str) -> tuple[float, str]:
        """Seconds from the cut until the page first had words like `pattern`, and these words."""
        found = self.page.page.evaluate("() => window.noticed")
        assert pattern in found, self.words["before"]
        seconds, words = found[pattern]
        return seconds, words

    def restore(self) -> None:
        """The network is back: what was missed comes, and then what is new."""
        self.words["before"] = self.page.outputs(1)
        self.proxy.restore()
        self.words["missed"] = gated.wait_for_count(self.page, FINISHED_MEANWHILE, limit_s=BACK_WITHIN_S)
        self.connection("connected: kernel heard").wait_for(timeout=30_000)
        gated.go_on(self.server, self.name, gated.MODELS - 1)
        self.words["live"] = gated.wait_for_count(self.page, gated.MODELS - 1)
        self.words["prompt"] = self.page.prompt(1)
        gated.go_on(self.server, self.name, gated.MODELS)
        self.words["end"] = gated.wait_for_count(self.page, gated.MODELS)
        self.words["printed"] = self.page.outputs(1)


# what is said on `%keepalive`, how long, and how
CUTS = {
    "short": ("5s", 20, Proxy.cut),
    "hole": ("5s", 25, Proxy.hold),
    "long": ("60s", 75, Proxy.cut),
}


@pytest.fixture(scope="module")
def cuts(servers: Servers, browser: Any) -> Iterator[dict[str, Cut]]:
    server = servers("lab")
    made: dict[str, Cut] = {}
    for name, (every, seconds, begin) in CUTS.items():
        gated.prepare(server, name)
        proxy = Proxy(server.port)
        page = Page(server, browser, name, gated.cells(name, every), base=proxy.url, viewport={"width": 1200, "height": 1000})
        made[name] = Cut(name, seconds, begin, server, proxy, page)
        made[name].start()
    for cut in made.values():
        cut.cut()
    waiting = sorted(made.values(), key=lambda cut: cut.seconds)
    for cut in waiting:
        cut.page.page.wait_for_timeout(max(0.0, cut.began + cut.seconds - time.monotonic()) * 1000)
        cut.restore()
    yield made
    for cut in made.values():
        cut.page.close()
        cut.proxy.close()


every_cut = pytest.mark.parametrize("name", list(CUTS))


@every_cut
def test_the_page_says_within_30_s_that_the_connection_is_lost(cuts: dict[str, Cut], name: str) -> None:
    seconds, words = cuts[name].noticed(CONNECTION)
    assert seconds <= NOTICED_WITHIN_S, words


def test_the_panel_says_within_30_s_that_it_has_no_news(cuts: dict[str, Cut]) -> None:
    seconds, words = cuts["long"].noticed(PANEL)
    assert seconds <= NOTICED_WITHIN_S, words
    assert "do not reload" in words


@pytest.mark.parametrize("name", [name for name, (_, _, begin) in CUTS.items() if begin is Proxy.cut])
def test_where_the_server_does_not_answer_it_is_said_not_to_reload(cuts: dict[str, Cut], name: str) -> None:
    _, words = cuts[name].noticed(CONNECTION)
    assert "connection LOST" in words
    assert "do not reload" in words


@every_cut
def test_nothing_came_through_while_it_was_cut(cuts: dict[str, Cut], name: str) -> None:
    assert f"finished {FINISHED_MEANWHILE}" not in cuts[name].words["before"]


@every_cut
def test_no_update_is_lost_and_the_panel_goes_on_live(cuts: dict[str, Cut], name: str) -> None:
    cut = cuts[name]
    printed = re.findall(r"finished (\d)", cut.words["printed"])
    assert printed == [str(done + 1) for done in range(gated.MODELS)]
    assert cut.words["prompt"] == "[*]:"
    assert "running" in cut.words["live"]
    assert "done" in cut.words["end"]


@every_cut
def test_the_page_was_never_loaded_again(cuts: dict[str, Cut], name: str) -> None:
    page = cuts[name].page
    assert page.loads == 1
    assert page.page.evaluate("() => window.sameAsBefore") is True
    assert page.errors == []
