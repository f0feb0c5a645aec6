"""What the README says of keep-alive is what the code has: its options, its times, Colab's rules."""

from __future__ import annotations

import re
from pathlib import Path

from colab_guard.hosts.rules import RULES
from colab_guard.keepalive import alive, limits, release
from colab_guard.magics import grammar

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text().split("## Keep-alive, and what a host allows")[1].split("\n## ")[0]
SCRIPT = (ROOT / "js/src/page_script.js").read_text()


def test_every_word_and_option_of_keepalive_stands_there_and_no_other() -> None:
    known = set(grammar.keepalive_parser().options()) - {"--help"}
    typed = set(re.findall(r"(--[a-z][a-z-]*)", SECTION)) - {"--to", "--gpu"}
    assert typed == known
    for word in ("doctor", "off"):
        assert f"`%keepalive {word}`" in SECTION


def test_its_times_are_those_of_the_code() -> None:
    assert f"every {alive.HEARTBEAT_S:g} s" in SECTION and f"no cell has run for {release.QUIET_S:g} s" in SECTION
    assert limits.LEAD_S == (600.0, 120.0) and "Ten and two minutes before" in SECTION
    for text, source in (
        ("looks every 30 s", "?? 30_000"),
        ("every 60 s", "?? 60_000"),
        ("within 15 min", "?? 15 * 60_000"),
        ("five times", "PRESSES = 5"),
    ):
        assert text in SECTION and source in SCRIPT


def test_colabs_rules_are_told_as_the_host_has_them() -> None:
    rules = RULES["colab"]
    assert [limit.seconds / 3600 for limit in rules.limits] == [12, 24] and "after 12 h, with Pro+ after 24 h" in SECTION
    assert rules.heartbeat == "counts not" and "nothing inside refreshes it" in SECTION
    assert "colab exec -s train -f NOTEBOOK.ipynb" in rules.unattended[0].words and "colab exec -s train -f NOTEBOOK.ipynb" in SECTION
    for plain in ("forbids bypassing its policies", "accounts have been blocked", "It may stop working any day"):
        assert plain in SECTION
