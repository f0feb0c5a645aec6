"""An edited grid goes on by itself, together with the tables that its runs look into."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from colab_guard.errors import InputChanged
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
