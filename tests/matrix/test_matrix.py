"""A part of the matrix in every check: which cells, the commit's hash decides; every stack has a part in it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.kernels.harness import pythons
from tests.matrix.cellfile import listed
from tests.matrix.running import ROOT, Pair, hashed, pairs, run_all, said
from tests.matrix.stacks import passed_over
from tests.matrix.table import drawn

TRIALS_EACH = int(os.environ.get("COLAB_GUARD_MATRIX_TRIALS", "2"))
"""Trials on each stack; one takes 10 to 20 s on an idle machine. COLAB_GUARD_MATRIX_TRIALS=100 runs them all."""
JOBS = 2


def key() -> str:
    """The commit's hash; without git, a hash of the package's sources."""
    try:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
        return asked.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        sources = sorted((ROOT / "colab_guard").rglob("*.py"))
        return hashed("\n".join(path.read_text(encoding="utf-8") for path in sources))


def chosen(by: str) -> list[Pair]:
    """Some cells on every stack that has what they need, in an order that `by` gives."""
    found: list[Pair] = []
    for stack, python in pythons().items():
        ordered = sorted(pairs(listed(), {stack: python}), key=lambda pair: hashed(f"{by} {pair[0].name} {pair[1]}"))
        found += [pair for pair in ordered if passed_over(*pair) is None][:TRIALS_EACH]
    return found


def test_a_part_of_the_matrix_that_the_commit_chooses(capsys: pytest.CaptureFixture[str]) -> None:
    by = key()
    part = chosen(by)
    with capsys.disabled():
        names = ", ".join(f"{cell.name} on {stack}" for cell, stack, _ in part)
        print(f"\nthe matrix by {by[:12]}: {names}", flush=True)
    trials = run_all(part, JOBS, seed=int(hashed(by)[:8], 16))
    with capsys.disabled():
        print("\n".join(map(said, trials)), flush=True)
    assert all(trial.holds for trial in trials), "\n" + drawn(trials)
    assert {trial.stack for trial in trials} == set(pythons())


def test_the_part_is_another_for_another_commit_and_the_same_for_the_same() -> None:
    first, second = chosen("a"), chosen("b")
    assert first == chosen("a")
    assert first != second


def test_the_command_runs_from_the_repository() -> None:
    asked = subprocess.run([sys.executable, "-m", "tests.matrix", "-h"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert asked.returncode == 0 and "--stack" in asked.stdout
