"""What stays of the panel elsewhere: on GitHub, and in what nbconvert makes of a notebook."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from colab_guard.panel.surfaces import static_bundle
from tests.panel.scenes import SCENES

EXAMPLES = Path(__file__).parents[2] / "examples"

# as GitHub's renderer of notebooks does it (jupyter/notebook's sanitiser and html-pipeline): no style, no script, no drawings,
# no attributes but plain ones; what it does not know is left out, its text stays
DROPPED = {"style", "script", "svg", "iframe", "object"}
KEPT = {"div", "span", "strong", "b", "i", "table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "ul", "li", "code", "details", "summary"}
BLOCKS = {"div", "tr", "li", "dt", "table", "dl", "ul", "details", "summary", "p", "pre"}


class Sanitised(HTMLParser):
    """What is left of a page: `html` with plain tags and no attributes, `lines` as they are read."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.text, self._dropping = "", "", 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._dropping += tag in DROPPED
        if not self._dropping and tag in KEPT:
            self.html += f"<{tag}>"
        self.text += "\n" if tag in BLOCKS else ""

    def handle_endtag(self, tag: str) -> None:
        if not self._dropping and tag in KEPT:
            self.html += f"</{tag}>"
        self._dropping -= tag in DROPPED
        self.text += "\n" if tag in BLOCKS else ""

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self.html += data
            self.text += data

    @property
    def lines(self) -> list[str]:
        return [" ".join(line.split()) for line in self.text.splitlines() if line.strip()]


def by_github(scene: str) -> list[str]:
    return Sanitised(SCENES[scene]().panel.html()).lines


def by_nbconvert(to: str) -> Callable[[str], list[str]]:
    def convert(scene: str) -> list[str]:
        nbconvert, nbformat = pytest.importorskip("nbconvert"), pytest.importorskip("nbformat")
        bundle = static_bundle(SCENES[scene]().panel.view())
        output = nbformat.v4.new_output("display_data", data=bundle)
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%%checkpointed lora-39", outputs=[output])])
        exporter = {"html": nbconvert.HTMLExporter, "markdown": nbconvert.MarkdownExporter}[to]()
        return Sanitised(exporter.from_notebook_node(book)[0]).lines

    return convert


WAYS = {"GitHub": by_github, "nbconvert html": by_nbconvert("html"), "nbconvert markdown": by_nbconvert("markdown")}

# the meaning: each is one line or a part of one
MEANING = {
    "done": [
        "✓ done lora-39 after 50 min 24 s, 39 of 39 models as of 2023-11-14 23:03:44 UTC",
        "Safety: saved at 23:03:43 UTC, durable at 23:03:44 UTC at gs://runs/lora (verified by Google's MD5): finished; running the cell again restores its results",
        "sweep: 37 of 39 done, 2 failed",
        "GPU: 1.3 of 15.0 GiB, peak 11.0, guard at 12.75: 0.6 allocated, 0.3 reserved beside it, 0.4 other processes; ▼ 8 clears in ten minutes",
        "disk: 67.0 GiB free, 41.0 of 108.0 GiB used",
        "status run parameters result steps time peak (GPU) commit",
        "✗ failed resnet-18 r2 model=resnet-18, rank=2, lr=0.0003 ValueError: target size (8) does not match input size (10) → the next run began 37 steps 20 s 8.6 GiB durable 2-5",
        "✓ done cvt-13 r8 model=cvt-13, rank=8, lr=0.0003 accuracy 0.934 400 steps 1 min 12 s 11.0 GiB durable 2-38",
        "29 more",
        "✓ done vit-tiny r2 model=vit-tiny, rank=2, lr=0.0003 accuracy 0.71 400 steps 58 s 11.0 GiB durable 2-1",
        "best so far: accuracy 0.934: cvt-13 r8 (model=cvt-13, rank=8, lr=0.0003)",
    ],
    "failure": [
        "✗ FAILED lora-39 after 6 min 49 s, 5 of 39 models",
        "RuntimeError: DataLoader worker (pid 4242) is killed by signal: Bus error",
        "■ unfinished mobilevit-xs r2",
        "mirror: gs://runs/lora: degraded: ConnectionError: gs:// does not answer, 1 min 34 s behind",
        "to go on, run this cell again; what is saved: %guard checkpoints",
    ],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scene", MEANING)
def test_the_meaning_stays_where_style_and_attributes_do_not(way: str, scene: str) -> None:
    # cells of a table may come as lines of their own: what counts is the order of the words
    text = " ".join(WAYS[way](scene))
    at = -1
    for meaning in MEANING[scene]:
        found = text.find(meaning, at + 1)
        assert found > at, f"{meaning!r} is not in, or not after what precedes it: {text}"
        at = found


@pytest.mark.parametrize("scene", SCENES)
def test_github_leaves_lines_that_people_can_read(scene: str) -> None:
    lines = by_github(scene)
    assert not [line for line in lines if re.search(r"[{};]\s*--|\.colab-guard|aria-|viewBox", line)]
    runs = [line for line in lines if re.match(r"[✓✗▶■] (done|failed|running|unfinished) ", line)][1:]
    assert len(runs) >= 4
    assert all(len(line.split()) >= 5 for line in runs)


def test_a_notebook_with_a_frozen_panel_has_no_state_of_widgets() -> None:
    bundle = static_bundle(SCENES["done"]().panel.view())
    assert sorted(bundle) == ["text/html", "text/plain"]
    assert len(json.dumps(bundle)) < 64_000


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_no_example_has_widgets_without_their_state(path: Path) -> None:
    # GitHub shows no such notebook at all (googlecolab/colabtools#5288)
    for kept in json.loads(path.read_text())["metadata"].get("widgets", {}).values():
        assert "state" in kept
