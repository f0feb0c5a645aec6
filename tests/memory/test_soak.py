"""A short soak; the whole one is `python -m tests.memory.soak --runs 39`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.memory.soak import soak

pytest.importorskip("torch")


def test_memory_is_flat_from_model_to_model_in_a_sweep_that_leaks_in_every_way(tmp_path: Path) -> None:
    found = soak(7, folder=tmp_path)
    assert len(found) == 7
    assert abs(found[-1] / found[1] - 1) <= 0.05, found
