"""The table that the README shows is what `--explain` prints for such a cell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from colab_guard.session import CheckpointOptions, Session
from tests.cells.harness import fresh_shell

README = (Path(__file__).parents[2] / "README.md").read_text()
SETUP = """
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.datasets import load_digits
images, labels = load_digits(return_X_y=True)
grid = {"max_depth": [4, 8]}
def evaluate(model, folds=4):
    found = []
    folds = np.array_split(np.arange(len(labels)), folds)
    for fold in folds:
        found.append(model.score(images[fold], labels[fold]))
    return found
"""
CELL = """scores = []
for seed in range(5):
    best = RandomForestClassifier(random_state=seed).fit(images, labels)
    scores.append(evaluate(best))
search = GridSearchCV(RandomForestClassifier(), grid).fit(images, labels)
"""


def test_the_readmes_table_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path))
    shell = fresh_shell()
    shell.run_cell(SETUP, store_history=True).raise_error()
    session = Session(shell)
    try:
        printed = session.explain("forest", CELL, CheckpointOptions())
    finally:
        session.close()
    shown = README.split("```\nforest:")[1].split("```")[0]
    assert _words("forest:" + shown) == _words(printed)


def _words(text: str) -> str:
    # sizes of small objects differ between versions of Python
    return re.sub(r"\d+ bytes", "n bytes", " ".join(text.split()))
