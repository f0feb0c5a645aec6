"""What a cell holds comes back with the same bits and the same aliases, wherever in its loops the cell was killed."""

from __future__ import annotations

from pathlib import Path

import pandas  # noqa: F401  (first imports draw random numbers)
import pytest
import sklearn.ensemble
import sklearn.model_selection  # noqa: F401
import torch  # noqa: F401
from tqdm.auto import tqdm  # noqa: F401

from colab_guard.cells import loops
from tests.cells.holders import PLAIN, SETUP, TORCH, WITH_TORCH
from tests.cells.proof import in_a_function, prove


@pytest.fixture(autouse=True)
def look_at_every_iteration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loops, "MOST_BETWEEN_LOOKS", 1)
    monkeypatch.chdir(tmp_path)



@pytest.mark.parametrize("name", PLAIN)
def test_a_cell_that_holds(name: str, tmp_path: Path) -> None:
    prove(SETUP, PLAIN[name], tmp_path)


@pytest.mark.parametrize("name", WITH_TORCH)
def test_a_cell_of_torch_that_holds(name: str, tmp_path: Path) -> None:
    prove(TORCH, WITH_TORCH[name], tmp_path)


@pytest.mark.parametrize("name", PLAIN)
def test_a_function_that_holds(name: str, tmp_path: Path) -> None:
    prove(SETUP, in_a_function(PLAIN[name]), tmp_path, few=3)


@pytest.mark.parametrize("name", WITH_TORCH)
def test_a_function_of_torch_that_holds(name: str, tmp_path: Path) -> None:
    prove(TORCH, in_a_function(WITH_TORCH[name]), tmp_path, few=3)
