"""Ways in which people go over a sweep: governed like `for run in sweep`, or said by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from colab_guard.events import MemoryReclaimed, SweepBypassed, UnitFinished, UnitSkipped
from colab_guard.sweep.registry import LIVE
from tests.session.notebook import Kernel

New = Callable[..., Kernel]

SETUP = """
import itertools
from tqdm import tqdm
from colab_guard import Sweep, grid
sweep = Sweep('ways', grid(a=[1, 2, 3, 4]))
"""
BODY = """
    trained.append(run.params["a"])
    if run.params["a"] == 2:
        raise ValueError("does not fit")
    for step in range(2):
        here()
        run.log(step=step, loss=1.0 / run.params["a"])
    run.save(str(run.params["a"]), "notes.txt")
(trained, [record["status"] for record in sweep.records()])
"""
WAYS = [
    "run in sweep",
    "i, run in enumerate(sweep)",
    "i, run in enumerate(sweep, start=5)",
    "run in tqdm(sweep)",
    "run in tqdm(sweep, disable=True)",
    "i, run in tqdm(enumerate(sweep), disable=True)",
    "i, run in enumerate(tqdm(sweep, disable=True))",
    "i, run in zip(range(10), sweep)",
    "run, i in zip(sweep, range(10))",
    "i, (j, run) in enumerate(enumerate(sweep))",
    "run in filter(None, sweep)",
    "run in itertools.islice(sweep, 10)",
]


def test_a_sweep_that_the_guarded_cell_makes_itself_comes_back_with_it(new_kernel: New) -> None:
    cell = f"trained = []\nsweep = Sweep('own', grid(a=[1, 2, 3, 4]), metric='loss')\nfor run in sweep:{BODY}"
    first = new_kernel(SETUP)
    first.guarded(cell, lose_at=4)
    LIVE.clear()
    second = new_kernel(SETUP)
    trained, statuses = second.guarded(cell)
    assert second.depths == [2]
    assert trained == [1, 2, 3, 4] and statuses == ["done", "failed", "done", "done"]
    assert [e.index for e in second.events if isinstance(e, UnitFinished)] == [2, 3]
    LIVE.clear()
    third = new_kernel(SETUP)
    assert third.guarded(cell) == ([1, 2, 3, 4], ["done", "failed", "done", "done"])
    sweep = third.shell.user_ns["sweep"]
    assert [run.status for run in sweep.runs] == ["done", "failed", "done", "done"] and sweep.metric == "loss"
    assert sweep.runs[0].path("notes.txt").read_text() == "1" and "does not fit" in sweep.runs[1].error


def test_memory_is_not_cleared_after_each_of_many_short_runs_that_leave_nothing(new_kernel: New) -> None:
    kernel = new_kernel(SETUP)
    kernel.guarded("for run in Sweep('short', grid(a=list(range(8)))):\n    pass")
    assert 1 <= sum(isinstance(event, MemoryReclaimed) for event in kernel.events) <= 4


def test_a_loop_over_a_sweep_inside_another_loop_is_governed(new_kernel: New) -> None:
    cell = f"trained = []\nfor name in ['ways', 'more']:\n  sweep = Sweep(name, grid(a=[1, 2, 3, 4]))\n  for run in sweep:{BODY}"
    first = new_kernel(SETUP)
    first.guarded(cell, lose_at=10)  # in the second step of the third run of the second sweep
    second = new_kernel(SETUP)
    trained, statuses = second.guarded(cell)
    assert second.depths == [3]
    assert trained == [1, 2, 3, 4] * 2 and statuses == ["done", "failed", "done", "done"]
    assert [(e.sweep, e.index) for e in second.events if isinstance(e, UnitFinished)] == [("more", 2), ("more", 3)]
    assert LIVE["more"].runs[2].path("notes.txt").read_text() == "3"


def test_a_loop_over_a_sweep_inside_two_loops_is_not_governed_and_that_is_said_once(new_kernel: New) -> None:
    kernel = new_kernel(SETUP)
    cell = "seen = []\nfor a in range(2):\n  for b in range(2):\n    for run in sweep:\n      seen.append(run.index)\nseen"
    assert kernel.guarded(cell) == [0, 1, 2, 3] * 4
    assert [(e.sweep, e.inner) for e in kernel.events if isinstance(e, SweepBypassed)] == [("ways", True)]


@pytest.mark.parametrize("way", WAYS)
def test_a_loop_over_a_sweep_is_governed_however_it_is_written(new_kernel: New, way: str) -> None:
    cell = f"trained = []\nfor {way}:{BODY}"
    first = new_kernel(SETUP)
    first.guarded(cell, lose_at=4)  # in the second step of the third run
    assert [e.status for e in first.events if isinstance(e, UnitFinished)] == ["done", "failed"]
    second = new_kernel(SETUP)
    trained, statuses = second.guarded(cell)
    assert second.depths == [2], "it was not resumed inside the run"
    assert trained == [1, 2, 3, 4] and statuses == ["done", "failed", "done", "done"]
    assert [e.index for e in second.events if isinstance(e, UnitFinished)] == [2, 3]
    assert "does not fit" in LIVE["ways"].runs[1].error
    assert LIVE["ways"].runs[2].path("notes.txt").read_text() == "3"


@pytest.mark.parametrize("way", ["run in reversed(sweep)", "i, run in enumerate(reversed(sweep))"])
def test_a_sweep_backwards(new_kernel: New, way: str) -> None:
    cell = f"trained = []\nfor {way}:{BODY}"
    new_kernel(SETUP).guarded(cell, lose_at=4)
    second = new_kernel(SETUP)
    assert second.guarded(cell) == ([4, 3, 2, 1], ["done", "failed", "done", "done"])
    assert second.depths == [2]


def test_finished_runs_are_skipped_by_a_cell_that_was_edited(new_kernel: New) -> None:
    cell = f"trained = []\nfor i, run in enumerate(sweep):{BODY}"
    new_kernel(SETUP).guarded(cell)
    longer = new_kernel(SETUP.replace("[1, 2, 3, 4]", "[1, 2, 3, 4, 5]"))
    assert longer.guarded(cell)[0] == [1, 2, 3, 4, 5]
    assert [e.index for e in longer.events if isinstance(e, UnitFinished)] == [4]
    assert [e.index for e in longer.events if isinstance(e, UnitSkipped)] == [0, 1, 2, 3]


@pytest.mark.parametrize("way", ["run in list(sweep)", "run in sweep.runs", "i, run in enumerate(sweep.runs)", "run in tuple(sweep)"])
def test_a_loop_over_a_list_of_runs_is_said_by_name(new_kernel: New, way: str) -> None:
    kernel = new_kernel(SETUP)
    kernel.guarded(f"for {way}:\n    run.log(loss=1.0)")
    assert [event.sweep for event in kernel.events if isinstance(event, SweepBypassed)] == ["ways"]


def test_of_a_failed_run_it_is_told_that_the_next_began(new_kernel: New) -> None:
    kernel = new_kernel(SETUP)
    kernel.guarded(f"trained = []\nfor run in sweep:{BODY}")
    told = {e.index: e.did for e in kernel.events if isinstance(e, UnitFinished)}
    assert told == {0: "", 1: "the next run began", 2: "", 3: ""}


def test_a_look_at_the_runs_after_the_work_is_not(new_kernel: New) -> None:
    kernel = new_kernel(SETUP)
    kernel.guarded("for run in sweep:\n    run.log(loss=1.0)\nfor run in sweep.runs:\n    run.metrics\nfor x in [1, 2]:\n    pass")
    assert not [event for event in kernel.events if isinstance(event, SweepBypassed)]


def test_the_line_names_the_sweep_and_what_to_write() -> None:
    from colab_guard.panel.reducer import reduce
    from colab_guard.panel.state import PanelState

    (line,) = reduce(PanelState(), SweepBypassed(sweep="ways"), 0.0).events
    assert "'ways'" in line.text and "loop over the sweep itself" in line.text




def test_a_run_that_stops_the_cell_is_marked_and_goes_on_when_the_cell_is_run_again(new_kernel: New) -> None:
    setup = SETUP.replace("[1, 2, 3, 4])", "[1, 2, 3, 4]), on_error='stop'") + "from pathlib import Path"
    cell = "trained = []\nfor run in sweep:" + BODY.replace('== 2:', '== 2 and not Path("fits").exists():')
    kernel = new_kernel(setup)
    with pytest.raises(ValueError, match="does not fit"):
        kernel.guarded(cell)
    failed = kernel.names["sweep"].runs[1]
    assert (failed.status, failed.error) == ("failed", "ValueError: does not fit")
    assert 'raise ValueError("does not fit")' in failed.traceback
    ended = [(e.index, e.status, e.did) for e in kernel.events if isinstance(e, UnitFinished)]
    assert ended == [(0, "done", ""), (1, "failed", "stopped here, to go on inside this run")]
    Path("fits").touch()
    assert kernel.guarded(cell) == ([1, 2, 3, 4], ["done"] * 4)
    assert failed.error == ""


def test_the_best_run_is_told_by_the_sweeps_own_metric_and_direction(new_kernel: New) -> None:
    from colab_guard.panel.reducer import reduce
    from colab_guard.panel.state import PanelState

    kernel = new_kernel(SETUP.replace("[1, 2, 3, 4])", "[1, 2, 3]), metric='regret', mode='min'"))
    cell = "for run in sweep:\n    run.log(accuracy=run.params['a'], regret=[3, 1, 2][run.params['a'] - 1])"
    kernel.guarded(cell)
    state = PanelState()
    for event in kernel.events:
        state = reduce(state, event, 0.0)
    assert state.sweep is not None and state.sweep.best is not None
    assert (state.sweep.best.metric, state.sweep.best.value) == ("regret", 1.0)
    kernel.guarded(cell)  # the same of runs that had ended before
    again = PanelState()
    for event in kernel.events:
        again = reduce(again, event, 0.0)
    assert again.sweep is None or again.sweep.best is None or again.sweep.best.value == 1.0
