"""An edited grid goes on by itself, together with the tables that its runs look into."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from colab_guard.errors import CellChanged, InputChanged
from colab_guard.sweep.registry import LIVE
from tests.session.notebook import Kernel

New = Callable[..., Kernel]

SETUP = """
from colab_guard import Sweep, grid
builders = {"a": lambda: 1, "b": lambda: 2}
weights = {name: [build() * 0.5, object()] for name, build in builders.items()}
"""
SWEEP = "sweep = Sweep('edited', grid(kind=list(builders), rank=[1, 2]))"
CELL = """
for run in sweep:
    value = builders[run.params["kind"]]() * run.params["rank"] + weights[run.params["kind"]][0]
    for step in range(3):
        here()
        run.log(step=step, loss=1.0)
    run.log(value=value)
[record["value"] for record in sweep.records()]
"""


@pytest.mark.parametrize("lose_at", [5, -1])
def test_runs_that_were_added_with_entries_of_a_table_are_run(new_kernel: New, lose_at: int) -> None:
    first = new_kernel(SETUP, SWEEP)
    assert first.guarded(CELL, lose_at=lose_at) == (None if lose_at > 0 else [1.5, 2.5, 3.0, 5.0])
    longer = SETUP.replace('"b": lambda: 2', '"b": lambda: 2, "c": lambda: 10')
    second = new_kernel(longer, SWEEP)
    assert second.guarded(CELL) == [1.5, 2.5, 3.0, 5.0, 15.0, 25.0]
    assert second.used == []
    third = new_kernel(longer, SWEEP)
    assert third.guarded(CELL) == [1.5, 2.5, 3.0, 5.0, 15.0, 25.0]


def test_an_entry_of_a_table_that_was_edited_is_asked_about(new_kernel: New) -> None:
    assert new_kernel(SETUP, SWEEP).guarded(CELL, lose_at=5) is None
    edited = SETUP.replace('"b": lambda: 2', '"b": lambda: 3, "c": lambda: 10')
    with pytest.raises(InputChanged, match=r"builders\['b'\]: lambda: 2 → lambda: 3"):
        new_kernel(edited, SWEEP).guarded(CELL)


def test_a_table_that_a_loop_goes_over_does_not_grow_by_itself(new_kernel: New) -> None:
    cell = CELL + "\ntotal = [build() for build in builders.values()]\ntotal"
    assert new_kernel(SETUP, SWEEP).guarded(cell, lose_at=5) is None
    longer = SETUP.replace('"b": lambda: 2', '"b": lambda: 2, "c": lambda: 10')
    with pytest.raises(InputChanged, match=r"builders\['c'\]: not there → lambda: 10"):
        new_kernel(longer, SWEEP).guarded(cell)


def test_a_table_that_the_cell_itself_changed_is_asked_about(new_kernel: New) -> None:
    cell = CELL.replace("    run.log(value=value)", "    builders['a'] = int\n    run.log(value=value)")
    assert new_kernel(SETUP, SWEEP).guarded(cell, lose_at=8) is None
    longer = SETUP.replace('"b": lambda: 2', '"b": lambda: 2, "c": lambda: 10')
    with pytest.raises(InputChanged, match="the cell itself had changed it"):
        new_kernel(longer, SWEEP).guarded(cell)


OWN = """
trained = []
sweep = Sweep('own', grid(a=[1, 2, 3]), metric='loss')
for run in sweep:
    for step in range(2):
        here()
        run.log(step=step, loss=1.0 / run.params["a"])
    trained.append(run.params["a"])
(trained, [(run.params["a"], run.status) for run in sweep.runs])
"""
IN_LOOP = OWN.replace("sweep = Sweep('own', grid(a=[1, 2, 3]), metric='loss')\n", "").replace(
    "for run in sweep:", "for run in Sweep(name='own', params=grid(a=[1, 2, 3])):"
).replace("(trained, [(run.params[\"a\"], run.status) for run in sweep.runs])", "trained")


@pytest.mark.parametrize("lose_at", [4, -1])
def test_the_grid_of_a_sweep_that_the_cell_makes_itself_may_be_edited(new_kernel: New, lose_at: int) -> None:
    """Also to one that lacks what was trained."""
    first = new_kernel(SETUP)
    first.guarded(OWN, lose_at=lose_at)
    LIVE.clear()
    edited = OWN.replace("a=[1, 2, 3]", "a=[2, 3, 4, *range(5, 6)]")
    trained, runs = new_kernel(SETUP).guarded(edited)
    assert trained == [1, 2, 3, 4, 5]
    assert runs == [(a, "done") for a in (2, 3, 4, 5)]
    LIVE.clear()
    ended = new_kernel(SETUP)
    assert ended.guarded(OWN)[0] == [1, 2, 3, 4, 5]
    assert [(run.params["a"], run.status) for run in ended.shell.user_ns["sweep"].runs] == [(a, "done") for a in (1, 2, 3)]


def test_it_may_be_edited_in_the_same_kernel_and_in_the_loop_itself(new_kernel: New) -> None:
    kernel = new_kernel(SETUP)
    assert kernel.guarded(IN_LOOP) == [1, 2, 3]
    assert kernel.guarded(IN_LOOP.replace("3]", "3, 4]")) == [1, 2, 3, 4]
    LIVE.clear()
    assert new_kernel(SETUP).guarded(IN_LOOP.replace("3]", "3, 4, 9]")) == [1, 2, 3, 4, 9]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a=[1, 2, 3]", "a=builders"),
        ("metric='loss'", "metric='accuracy'"),
        ("'own'", "'other'"),
        ("trained = []\n", "trained = []\ngrid = dict\n"),
    ],
)
def test_other_edits_of_a_sweep_in_the_cell_are_asked_about(new_kernel: New, before: str, after: str) -> None:
    new_kernel(SETUP).guarded(OWN, lose_at=4)
    LIVE.clear()
    with pytest.raises(CellChanged):
        new_kernel(SETUP).guarded(OWN.replace(before, after))


def test_a_grid_of_another_meaning_is_asked_about(new_kernel: New) -> None:
    new_kernel(SETUP).guarded(OWN, lose_at=4)
    LIVE.clear()
    own = SETUP + "def grid(**axes):\n    return [{'a': 1}]\n"
    with pytest.raises(CellChanged, match="the grid of the sweep 'own' changed"):
        new_kernel(own).guarded(OWN.replace("3]", "3, 4]"))
