"""A death is told where people look next: by `colab-guard run`, and by `colab-guard status`."""

from __future__ import annotations

import io
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from colab_guard.cli import main
from colab_guard.cli.runner import run_notebook

DYING = """%%checkpointed dying --every 0.1s --budget 90%
import os, pathlib, signal, time
for i in range(40):
    time.sleep(0.05)
    if i == 35 and not pathlib.Path("died").exists():
        pathlib.Path("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
i
"""


def test_a_run_tells_how_its_kernel_died_and_what_it_was_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    cells = ["%load_ext colab_guard\n%memguard 0.85", DYING]
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), tmp_path / "a.ipynb")
    said = io.StringIO()
    assert run_notebook(tmp_path / "a.ipynb", output=tmp_path / "b.ipynb", out=said) == 0, said.getvalue()
    lines = said.getvalue().splitlines()
    died = next(number for number, line in enumerate(lines) if line.startswith("the kernel died: killed by SIGKILL"))
    assert lines[died + 1].startswith("It was at work on dying; saved: ")
    assert "The last kernel here was killed by SIGKILL" in said.getvalue()[said.getvalue().index("starting another") :]
    assert "out of memory" not in said.getvalue()
    capsys.readouterr()
    assert main(["status"]) == 0
    assert "last kernel" not in capsys.readouterr().out, "the one after it ended as it should"
