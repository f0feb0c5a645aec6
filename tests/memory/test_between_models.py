"""In a checkpointed sweep the last model is gone while the next one is made, where nothing can need it any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from colab_guard.events import MemoryReclaimed

SETUP = """
%load_ext colab_guard
import gc
import numpy as np
from colab_guard import Sweep, grid
from colab_guard.session import current
class Model:
    def __init__(self):
        self.weights = np.zeros(80 * 2**20, dtype=np.uint8)
        self.me = self
def evaluate():
    return model.weights[:4].sum()
def models():
    return sum(type(thing) is Model for thing in gc.get_objects())
heard = []
current().bus.subscribe(lambda event, at: heard.append(event))
"""
CELL = """%%checkpointed NAME
alive = []
for run in Sweep("NAME", grid(seed=range(3))):
    BEFORE
    alive.append(models())
    model = Model()
    model.weights[run.index] = 1
    AFTER
END
"""


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLAB_GUARD_NOTEBOOK", "/between.ipynb")
    monkeypatch.chdir(tmp_path)
    InteractiveShell.clear_instance()
    found = InteractiveShell.instance()
    assert found.run_cell(SETUP).success
    yield found
    found.run_cell("%unload_ext colab_guard")
    found.reset(new_session=False)
    InteractiveShell.clear_instance()


def alive(shell: Any, name: str, *, before: str = "pass", after: str = "pass", end: str = "pass") -> list[int]:
    """How many models there were when each run had begun."""
    cell = CELL.replace("NAME", name).replace("BEFORE", before).replace("AFTER", after).replace("END", end)
    result = shell.run_cell(cell, store_history=True)
    result.raise_error()
    found: list[int] = shell.user_ns["alive"]
    return found


def test_a_name_that_each_run_binds_anew_is_let_go_when_the_next_one_begins(shell: Any) -> None:
    assert alive(shell, "anew") == [0, 0, 0]
    assert shell.user_ns["model"].weights[2] == 1, "the last one stays"
    told = [e.forgotten for e in shell.user_ns["heard"] if isinstance(e, MemoryReclaimed) and e.forgotten]
    assert told == [("model",), ("model",)]


@pytest.mark.parametrize(
    ("name", "more", "count"),
    [
        ("read-behind", {"end": "print(model.weights.sum())"}, 1),
        ("read-first", {"before": "before = 0 if run.index == 0 else model.weights.sum()"}, 1),
        ("read-by-function", {"after": "evaluate()"}, 1),
        ("one-arm", {"after": "if run.index == 0: best = model"}, 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_anything_may_read_stays(shell: Any, name: str, more: dict[str, str], count: int) -> None:
    found = alive(shell, name, **more)
    assert found[0] == 0 and found[1] == count


def test_outputs_that_were_shown_before_the_cell_stay(shell: Any) -> None:
    shown = shell.execution_count
    assert shell.run_cell("np.ones(2**21)", store_history=True).success
    read = f"model.weights[:8] = Out[{shown}][:8]"
    alive(shell, "shown", after=read)
    assert f"_{shown}" in shell.user_ns
