"""What the README says is run: its commands by the check, its five lines in a real kernel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kernels.harness import Machine

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_two_commands_are_what_the_check_runs() -> None:
    check = (ROOT / ".ci" / "run").read_text()
    for command in blocks("bash"):
        for part in command.strip().split(" && "):
            told = part.split(" --output")[0].replace("pip install", "pip install -q")
            assert re.search(rf"^{re.escape(told)}", check, re.MULTILINE), f"the check does not run {part!r}"


def test_the_five_lines_run_as_they_stand_comments_included(tmp_path: Path) -> None:
    start, cell = blocks("python")[:2]
    with Machine(tmp_path).kernel() as kernel:
        first = kernel.run(start.rstrip("\n"))
        assert not first.error and "colab_guard on" in first.text, first
        assert "keep-alive: on" in first.text and "Memory:" in first.text
        done = kernel.run(cell.rstrip("\n"))
        assert not done.error, done.error
        assert done.value == str(sum(range(1000)))


@pytest.mark.parametrize("name", re.findall(r"\]\((examples/[^)]+)\)", README) + re.findall(r"`python (tests/\S+)`", README))
def test_what_the_readme_points_to_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_every_option_in_the_table_is_an_option() -> None:
    from colab_guard.magics import grammar

    text = Path(grammar.__file__).read_text()
    for option in set(re.findall(r"`(--[a-z-]+)", README)) - {"--output"}:
        assert option.lstrip("-") in text, option
