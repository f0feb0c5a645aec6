"""`%%checkpointed --explain` in a terminal's shell: printed text, nothing run, the twin's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from colab_guard import guard
from tests.magics.test_magics import run

CELL = "total = 0\nfor i in range(3):\n    total += i\ntotal"


def test_it_prints_the_table_and_runs_nothing(shell: Any, capsys: Any, home: Path) -> None:
    success, out, err = run(shell, f"%%checkpointed work --explain\n{CELL}", capsys)
    assert success and not err
    assert out.startswith("work: explained; nothing was run, and nothing was written\n")
    assert "one iteration of `for i in range(3)` (line 3)" in out
    assert "total" not in shell.user_ns and not home.exists()
    assert out.strip() == str(guard.checkpointed("work", CELL, explain=True))


def test_its_mistakes_are_those_of_the_magic(shell: Any, capsys: Any, home: Path) -> None:
    for line, said in (
        ("%%checkpointed --explain\nx = 1", "needs a NAME"),
        ("%%checkpointed a/b --explain\nx = 1", "cannot be a NAME"),
        ("%%checkpointed a --explain\nfor in", "does not parse"),
        ("%%checkpointed a --explain\n# words", "no code"),
        ("%%checkpointed a --explain --fresh --resume\nx = 1", "type one of them"),
    ):
        success, out, err = run(shell, line, capsys)
        assert not success and said in err + out and "Traceback" not in err + out, line
    assert not home.exists()


def test_a_run_tells_a_terminal_what_has_no_safe_point_before_it_begins(shell: Any, capsys: Any) -> None:
    run(shell, "import subprocess", capsys)
    success, out, _ = run(shell, "%%checkpointed work\nprint('ran')\nsubprocess.run(['true']).returncode", capsys)
    assert success
    assert out.index("line 3: subprocess.run() runs outside the notebook: no safe point until it returns") < out.index("ran")
    assert "after a loss this cell restarts from its start" in out


@pytest.mark.parametrize("cell", [CELL, "x = 1", "import math\nmath.pi"])
def test_the_good_case_says_nothing_of_it(shell: Any, capsys: Any, cell: str) -> None:
    success, out, _ = run(shell, f"%%checkpointed work\n{cell}", capsys)
    assert success and "no safe point" not in out
