"""Whole training cells of the matrix, in one process: killed at some of their safe points, compared with all their aliases.

A part of them in every check, chosen by the commit's hash. COLAB_GUARD_TRAINING_CELLS=100 runs them all.
"""

from __future__ import annotations

import builtins
import os
import re
from pathlib import Path

import pandas  # noqa: F401  (first imports draw random numbers)
import pytest
import sklearn.model_selection  # noqa: F401
import torch  # noqa: F401
from tqdm.auto import tqdm  # noqa: F401

from tests.cells.proof import prove_by_ticks, tick
from tests.matrix.running import hashed
from tests.matrix.test_matrix import key

FOLDER = Path(__file__).parent.parent / "matrix" / "cells"
NEED_A_SESSION = {"accelerate", "hf_trainer", "plots_and_logs", "sweep"}
"""Loops, objects and magics of theirs are known to parts that a session brings along: they are tried in kernels only."""
CELLS = {name: path for path in sorted(FOLDER.glob("train_*.py")) if (name := path.stem.removeprefix("train_")) not in NEED_A_SESSION}
BY = key()
MOST = int(os.environ.get("COLAB_GUARD_TRAINING_CELLS", "10"))
CHOSEN = sorted(sorted(CELLS, key=lambda name: hashed(f"{BY} {name}"))[:MOST])
KILLS = 2


@pytest.mark.parametrize("name", CHOSEN)
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
