"""Whole training cells of the matrix, in one process: killed at some of their safe points, compared with all their aliases."""

from __future__ import annotations

import builtins
import re
from pathlib import Path

import pandas  # noqa: F401  (first imports draw random numbers)
import pytest
import sklearn.model_selection  # noqa: F401
import torch  # noqa: F401
from tqdm.auto import tqdm  # noqa: F401

from tests.cells.proof import prove_by_ticks, tick

FOLDER = Path(__file__).parent.parent / "matrix" / "cells"
CELLS = {path.stem.removeprefix("train_"): path for path in sorted(FOLDER.glob("train_*.py"))}
KILLS = 2


@pytest.mark.parametrize("name", CELLS)
def test_a_training_cell_killed_anywhere_ends_with_the_same_bits(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "tick", tick, raising=False)
    _, *parts = re.split(r"^# %% (\w+)\s*$", CELLS[name].read_text(), flags=re.MULTILINE)
    kinds, bodies = parts[::2], parts[1::2]
    setup = "\n".join(body for kind, body in zip(kinds, bodies, strict=True) if kind == "setup")
    done = prove_by_ticks(setup, bodies[kinds.index("cell")], tmp_path, kills=KILLS)
    print(name, [(first.position.text, len(first.reasons)) for first in done if first.position])
