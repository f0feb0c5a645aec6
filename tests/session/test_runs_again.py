"""Finished runs that run again: `--fresh`, `retry_failed`, and records that were lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from colab_guard.events import CommitPassedOver
from tests.session.notebook import Kernel

New = Callable[..., Kernel]

SETUP = """
from colab_guard import Sweep, grid
sweep = Sweep('again', grid(kind=["a", "b", "c"]))
ran, broken = [], True
"""
CELL = """
for run in sweep:
    ran.append(run.params["kind"])
    if broken and run.params["kind"] == "b":
        raise ValueError("broken")
    run.log(value=1)
    run.save("text", "note.txt")
"""
STATUS = "[record['status'] for record in sweep.records()]"


def status(kernel: Kernel) -> list[str]:
    return list(eval(STATUS, kernel.names))


def test_fresh_runs_everything_again_in_the_same_kernel_too(new_kernel: New) -> None:
    kernel = new_kernel(SETUP.replace("True", "False"))
    kernel.guarded(CELL)
    kernel.run("ran.clear()")
    kernel.guarded(CELL, fresh=True)
    assert kernel.names["ran"] == ["a", "b", "c"]
    later = new_kernel(SETUP.replace("True", "False"))
    later.guarded(CELL)
    assert status(later) == ["done"] * 3, "the store knows them"


def test_another_name_has_all_runs_in_the_same_kernel_too(new_kernel: New) -> None:
    kernel = new_kernel(SETUP.replace("True", "False"))
    kernel.guarded(CELL)
    kernel.run("ran.clear()")
    kernel.guarded(CELL, name="other")
    assert kernel.names["ran"] == ["a", "b", "c"]


def test_failed_runs_are_tried_again_when_asked(new_kernel: New) -> None:
    for kernel in (new_kernel(SETUP), new_kernel(SETUP)):
        kernel.guarded(CELL)
        assert status(kernel) == ["done", "failed", "done"]
    kernel.run("broken = False", "sweep.retry_failed()")
    kernel.guarded(CELL, resume=True)
    assert kernel.names["ran"][-1] == "b"


def test_a_run_whose_record_was_lost_is_said_and_run_again(new_kernel: New, tmp_path: Path) -> None:
    new_kernel(SETUP.replace("True", "False")).guarded(CELL)
    record = min((tmp_path / "home" / "work" / "commits").glob("*.json"))
    record.write_bytes(record.read_bytes()[:-1])
    kernel = new_kernel(SETUP.replace("True", "False"))
    kernel.guarded(CELL)
    assert status(kernel) == ["done"] * 3
    assert kernel.names["ran"] == ["a", "b", "c", "a"]
    assert any(isinstance(event, CommitPassedOver) for event in kernel.events)


def test_working_copies_of_another_notebooks_sweep_are_not_taken_for_ours(new_kernel: New, tmp_path: Path) -> None:
    new_kernel(SETUP.replace("True", "False")).guarded(CELL)
    copies = sorted((tmp_path / "home" / ".runs" / "work" / "again").rglob("note.txt"))
    assert len(copies) == 3
    copies[0].write_text("theirs")
    copies[1].with_name("more.txt").write_text("theirs")
    copies[2].unlink()
    kernel = new_kernel(SETUP.replace("True", "False"))
    kernel.guarded(CELL)
    runs = kernel.names["sweep"].runs
    assert [run.saved() for run in runs] == [["note.txt"]] * 3
    assert [run.path("note.txt").read_text() for run in runs] == ["text"] * 3


def test_kernels_with_other_names_do_not_touch_each_others_working_copies(new_kernel: New) -> None:
    setup = SETUP.replace("True", "False")
    cell = CELL.replace('    run.save("text", "note.txt")', '    run.save("text", "note.txt")\n    here()\n    run.log(found=run.path("note.txt").read_text())')
    first, other = new_kernel(setup), new_kernel(setup)
    first.guarded(cell, lose_at=2, name="one")
    other.guarded(cell, name="two")
    assert first.names["sweep"].runs[1].path("note.txt").read_text() == "text"
    assert other.names["sweep"].folder != first.names["sweep"].folder
    again = new_kernel(setup)
    again.guarded(cell, name="one")
    assert status(again) == ["done"] * 3


def test_a_sweep_outside_guarded_work_has_working_copies_of_its_own(new_kernel: New, tmp_path: Path) -> None:
    kernel = new_kernel(SETUP)
    kernel.run("for run in sweep:\n    with run:\n        run.save('mine', 'note.txt')")
    other = new_kernel(SETUP)
    other.guarded(CELL.replace("broken and", "False and"))
    assert [run.path("note.txt").read_text() for run in kernel.names["sweep"].runs] == ["mine"] * 3


def test_working_copies_of_the_earlier_layout_are_found(new_kernel: New, tmp_path: Path) -> None:
    run = new_kernel(SETUP).names["sweep"].runs[0]
    earlier = tmp_path / "home" / ".runs" / "again" / run.key
    earlier.mkdir(parents=True)
    (earlier / "note.txt").write_text("of before")
    assert run.saved() == ["note.txt"] and run.path("note.txt").read_text() == "of before"
