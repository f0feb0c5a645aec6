"""What a person changed in another cell is named and asked about; what merely differs between kernels is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from colab_guard.errors import InputChanged
from colab_guard.store.records import json_of
from tests.session.notebook import Kernel

New = Callable[..., Kernel]

SETUP = """
import math
learning_rate = 0.001
config = {"width": 64, "layers": [32, 16], "name": "small"}
text = "a corpus " * 400
"""
HELPERS = """
class Config:
    decay = 0.5
    def scaled(self, x):
        return x * self.decay
def train_step(x, lr=0.1):
    '''One step.'''
    return helper(x) * lr
def helper(x):
    return x + 1
"""
CELL = """
results = []
for epoch in range(6):
    results.append(train_step(epoch) * learning_rate * config["width"] + Config().scaled(epoch) + len(text))
    here()
len(results)
"""


def lost(new: New, *cells: str, cell: str = CELL) -> None:
    assert new(*cells).guarded(cell, lose_at=4) is None


def test_equal_inputs_resume_without_a_word(new_kernel: New) -> None:
    lost(new_kernel, SETUP, HELPERS)
    again = new_kernel("# another comment", SETUP, HELPERS.replace("'''One step.'''", "# a comment"))
    assert again.guarded(CELL) == 6
    assert again.depths == [1] and again.used == [] and again.inexact == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("0.001", "0.01", "learning_rate: 0.001 → 0.01"),
        ('"width": 64', '"width": 128', "config['width']: 64 → 128"),
        ("[32, 16]", "[32]", "config['layers'][1]: 16 → not there"),
        ('"a corpus "', '"a poem "', "text: text of 3,600 characters → text of 2,800 characters"),
        ("decay = 0.5", "decay = 0.25", "Config.decay: 0.5 → 0.25"),
        ("x * self.decay", "x - self.decay", "Config: its code changed"),
        ("* lr", "/ lr", "train_step(): its code changed"),
        ("lr=0.1", "lr=0.2", "train_step(): its code changed"),
        ("x + 1", "x + 2", "helper(): its code changed"),
    ],
)
def test_what_a_person_changed_is_named_and_nothing_runs(new_kernel: New, before: str, after: str, words: str) -> None:
    lost(new_kernel, SETUP, HELPERS)
    edited = new_kernel(SETUP.replace(before, after), HELPERS.replace(before, after))
    with pytest.raises(InputChanged) as caught:
        edited.guarded(CELL)
    said = str(caught.value)
    assert words in said and "--resume" in said and "--fresh" in said and "\n" not in said
    assert "results" not in edited.names


def test_resume_goes_on_with_the_committed_values_and_fresh_begins_with_the_new_ones(new_kernel: New) -> None:
    cell = "out = []\nfor i in range(5):\n    out.append(rate)\n    here()\nout"
    lost(new_kernel, "rate = 1", cell=cell)
    edited = new_kernel("rate = 2")
    assert edited.guarded(cell, resume=True) == [1] * 5
    assert edited.used == ["rate: 1 → 2"]
    assert new_kernel("rate = 2").guarded(cell, fresh=True) == [2] * 5


def test_resume_goes_on_with_new_code_and_the_next_resume_does_not_ask_again(new_kernel: New) -> None:
    cell = "out = []\nfor i in range(6):\n    out.append(f())\n    here()\nout"
    lost(new_kernel, "def f():\n    return 1", cell=cell)
    second = "def f():\n    return 2"
    assert new_kernel(second).guarded(cell, resume=True, lose_at=2) is None
    assert new_kernel(second).guarded(cell) == [1, 1, 1, 2, 2, 2]


def test_a_name_that_is_missing_gets_the_committed_value(new_kernel: New) -> None:
    cell = "out = []\nfor i in range(5):\n    out.append(rate)\n    here()\nout"
    lost(new_kernel, "rate = 3", cell=cell)
    assert new_kernel().guarded(cell) == [3] * 5


def test_inputs_that_the_cell_changes_are_compared_with_what_they_were_at_its_start(new_kernel: New) -> None:
    cell = "for i in range(6):\n    history.append(i)\n    count += 1\n    here()\n(history, count)"
    setup = "history, count = [], 0"
    lost(new_kernel, setup, cell=cell)
    assert new_kernel(setup).guarded(cell, lose_at=2) is None
    assert new_kernel(setup).guarded(cell) == ([0, 1, 2, 3, 4, 5], 6)


def test_running_the_cell_again_in_the_kernel_that_it_changed_asks_nothing(new_kernel: New) -> None:
    cell = "for i in range(6):\n    history.append(i)\n    count += 1\n    here()\n(history, count)"
    kernel = new_kernel("history, count = [], 0")
    assert kernel.guarded(cell, lose_at=4) is None
    assert kernel.guarded(cell) == ([0, 1, 2, 3, 4, 5], 6)
    assert kernel.guarded(cell) == ([0, 1, 2, 3, 4, 5], 6)
    kernel.run("count = 100")
    with pytest.raises(InputChanged, match="count: 0 → 100"):
        kernel.guarded(cell)


@pytest.mark.parametrize("expression", ["time.time()", "random.random()", "[os.getpid(), object().__hash__()]"])
def test_what_differs_in_each_kernel_by_itself_is_said_and_the_committed_value_is_used(new_kernel: New, expression: str) -> None:
    cell = "for i in range(5):\n    kept = started\n    here()\nkept"
    setup = f"import os, random, time\nstarted = {expression}"
    first = new_kernel(setup)
    began = first.names["started"]
    assert first.guarded(cell, lose_at=3) is None
    again = new_kernel(setup)
    assert again.guarded(cell) == began
    assert len(again.used) == 1 and again.used[0].startswith("started")


def test_a_value_computed_from_an_edited_one_is_asked_about(new_kernel: New) -> None:
    cell = "for i in range(5):\n    kept = steps\n    here()\nkept"
    lost(new_kernel, "base = 5", "steps = [base * n for n in range(3)]", cell=cell)
    with pytest.raises(InputChanged, match=r"steps\[1\]: 5 → 6, steps\[2\]: 10 → 12"):
        new_kernel("base = 6", "steps = [base * n for n in range(3)]").guarded(cell)


def test_names_that_the_cell_sets_before_it_reads_them_are_no_inputs(new_kernel: New) -> None:
    cell = "x = 1\ndef f(y):\n    return [y + x for y in range(2)]\nfor i in range(5):\n    z = f(i)\n    here()\nz"
    lost(new_kernel, "x, y, i, z = 5, 5, 5, 5", cell=cell)
    assert new_kernel("x, y, i, z = 6, 6, 6, 6").guarded(cell) == [1, 2]


def test_attributes_called_like_a_name_are_not_that_name(new_kernel: New) -> None:
    cell = "from types import SimpleNamespace\nbox = SimpleNamespace(rate=1)\nfor i in range(4):\n    v = box.rate\n    here()\nv"
    lost(new_kernel, "rate = 1", cell=cell)
    assert new_kernel("rate = 2").guarded(cell) == 1


def test_a_finished_cell_whose_input_was_edited_asks_before_it_shows_old_results(new_kernel: New) -> None:
    cell = "for i in range(3):\n    total = rate * i\ntotal"
    assert new_kernel("rate = 1").guarded(cell) == 2
    with pytest.raises(InputChanged, match=r"rate: 1 → 5\. --resume gives its committed results"):
        new_kernel("rate = 5").guarded(cell)
    assert new_kernel("rate = 5").guarded(cell, resume=True) == 2
    assert new_kernel("rate = 5").guarded(cell, fresh=True) == 10


def test_a_skipped_input_is_in_no_snapshot_and_must_be_the_same(new_kernel: New) -> None:
    cell = "out = []\nfor i in range(5):\n    out.append(sum(big))\n    here()\nout"
    assert new_kernel("big = list(range(5000))").guarded(cell, lose_at=3, skip=("big",)) is None
    with pytest.raises(InputChanged, match="big: list of 5,000 changed"):
        new_kernel("big = list(range(1, 5001))").guarded(cell, skip=("big",))
    with pytest.raises(InputChanged, match="big is in no snapshot"):
        new_kernel().guarded(cell, skip=("big",))
    assert len(new_kernel("big = list(range(5000))").guarded(cell, skip=("big",))) == 5


def test_a_module_beside_the_notebook_is_code(new_kernel: New) -> None:
    from pathlib import Path

    cell = "for i in range(5):\n    v = beside_it.f()\n    here()\nv"
    setup = "import sys\nsys.path.insert(0, '')\nsys.modules.pop('beside_it', None)\nsys.dont_write_bytecode = True\nimport beside_it"
    Path("beside_it.py").write_text("def f():\n    return 1\n")
    lost(new_kernel, setup, cell=cell)
    Path("beside_it.py").write_text("# a comment\ndef f():\n    return 1\n")
    assert new_kernel(setup).guarded(cell, lose_at=2) is None
    Path("beside_it.py").write_text("def f():\n    return 2\n")
    with pytest.raises(InputChanged, match=r"beside_it\.py: its code changed"):
        new_kernel(setup).guarded(cell)


@pytest.mark.parametrize("use", ["f()", "thing.value()", "[held][0].value()"])
def test_what_was_imported_from_a_module_beside_the_notebook_is_code_too(new_kernel: New, use: str) -> None:
    from pathlib import Path

    source = "def f():\n    return 1\nclass Thing:\n    def value(self):\n        return 1\n"
    cell = f"for i in range(5):\n    v = {use}\n    here()\nv"
    setup = (
        "import sys\nsys.path.insert(0, '')\nsys.modules.pop('beside_it', None)\nsys.dont_write_bytecode = True\n"
        "from beside_it import Thing, f\nthing, held = Thing(), Thing()\nheld.parts = [object()]"
    )
    Path("beside_it.py").write_text(source)
    lost(new_kernel, setup, cell=cell)
    assert new_kernel(setup).guarded(cell, lose_at=2) is None
    Path("beside_it.py").write_text(source.replace("return 1", "return 2"))
    with pytest.raises(InputChanged, match=r": beside_it\.py: its code changed\."):
        new_kernel(setup).guarded(cell)


def test_what_a_function_has_captured_is_part_of_it(new_kernel: New) -> None:
    cell = "for i in range(5):\n    v = step(i)\n    here()\nv"
    setup = "def make(rate):\n    def step(x):\n        return x * rate\n    return step\nstep = make(2)"
    lost(new_kernel, setup, cell=cell)
    with pytest.raises(InputChanged, match=r"step\(rate\): 2 → 3"):
        new_kernel(setup.replace("make(2)", "make(3)")).guarded(cell)
    assert new_kernel(setup).guarded(cell) == 8


def test_a_secret_is_not_written_into_the_commit_or_the_message(new_kernel: New) -> None:
    from pathlib import Path

    cell = "for i in range(5):\n    n = len(api_key)\n    here()\nn"
    lost(new_kernel, "api_key = 'q7-very-secret-text'", cell=cell)
    with pytest.raises(InputChanged) as caught:
        new_kernel("api_key = 'q8-very-secret-text'").guarded(cell)
    assert "very-secret" not in str(caught.value) and "api_key" in str(caught.value)
    for record in Path("../home").rglob("commits/*.json"):
        assert b"very-secret" not in json_of(record.read_bytes())
