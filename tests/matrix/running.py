"""Many trials, some at a time."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.matrix import trial
from tests.matrix.cellfile import Cell
from tests.matrix.stacks import passed_over
from tests.matrix.trial import Trial

ROOT = Path(__file__).parents[2]
Pair = tuple[Cell, str, str]
"""A cell, a stack's name and its Python."""


def prepare() -> None:
    """Kernels of every stack find the project and the matrix in this checkout, and use one thread for arithmetic."""
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")


def pairs(cells: Iterable[Cell], stacks: dict[str, str]) -> list[Pair]:
    return [(cell, stack, python) for cell in cells for stack, python in stacks.items()]


def part(of: Sequence[Pair], number: int, count: int) -> list[Pair]:
    """Part `number` (from 1) of `count`, mixed so that parts take about as long."""
    return sorted(of, key=lambda pair: hashed(f"{pair[0].name} {pair[1]}"))[number - 1 :: count]


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def run_all(chosen: Sequence[Pair], jobs: int, seed: int, told: Callable[[Trial], None] = lambda _: None) -> list[Trial]:
    """All of them, `jobs` at a time; `told` hears of each as it ends. By name; interrupted, those that had ended."""
    prepare()
    found: dict[tuple[str, str], Trial] = {}
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(_one, *pair, seed) for pair in chosen]
        try:
            for done in as_completed(waiting):
                result = done.result()
                found[result.cell, result.stack] = result
                told(result)
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)  # the table of what is done is shown
    return [found[key] for key in sorted(found)]


def _one(cell: Cell, stack: str, python: str, seed: int) -> Trial:
    return passed_over(cell, stack, python) or trial.run(cell, stack, python, seed)


def said(trial: Trial) -> str:
    """One line as a trial ends."""
    note = f"  {trial.notes[0]}" if trial.notes and not trial.holds else ""
    return f"{trial.verdict:12} {trial.cell} on {trial.stack} ({trial.seconds:.0f} s){note}"


def tell(trial: Trial) -> None:
    print(said(trial), file=sys.stderr, flush=True)
