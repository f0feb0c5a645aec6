"""The runs' table, when the work will have ended, and memory with its marks."""

from __future__ import annotations

import json

import pytest

from colab_guard.events import (
    MemoryPressure,
    MemoryReclaimed,
    MemorySampled,
    OutOfMemoryRecovered,
    SnapshotDurable,
    SnapshotSent,
    StepDone,
    SweepStarted,
    UnitFinished,
    UnitSkipped,
    UnitStarted,
    WorkEnded,
    WorkStarted,
)
from colab_guard.panel.state import KEPT_ROWS
from colab_guard.panel.view import PIECE_BYTES, Bar, Between, Row
from tests.panel.story import NAME, Story

GIB = 2**30


@pytest.fixture
def story() -> Story:
    return Story()


def row_of(story: Story, index: int) -> Row:
    return next(row for row in story.panel.view().rows if row.number == index)


def bar_of(story: Story, label: str) -> Bar:
    return next(bar for bar in story.panel.view().bars if bar.label == label)


def sample(story: Story, host: float, gpu: float | None = None) -> None:
    more = {} if gpu is None else {"gpu_allocated": int(gpu * GIB), "gpu_reserved": int(gpu * GIB), "gpu_other": 0, "gpu_total": 16 * GIB}
    story.post(MemorySampled(host_used=int(host * GIB), host_limit=12 * GIB, **more))


# the table


def test_a_runs_peak_is_the_highest_sample_of_its_time_alone(story: Story) -> None:
    story.begin()
    story.start(0)
    for used in (2, 5, 3):
        sample(story, used)
    story.post(UnitFinished(sweep=NAME, index=0, label="run 0", status="done", seconds=3))
    story.start(1)
    sample(story, 4)
    assert (row_of(story, 0).peak, row_of(story, 1).peak) == ("5.0 GiB", "4.0 GiB")
    assert story.panel.view().peak_of == "RAM"


def test_with_a_gpu_the_peak_is_the_gpus(story: Story) -> None:
    story.begin()
    story.start(0)
    sample(story, 9, gpu=7)
    sample(story, 9, gpu=3)
    assert row_of(story, 0).peak == "7.0 GiB"
    assert story.panel.view().peak_of == "GPU"


def test_a_run_names_its_commit_and_how_far_that_very_commit_has_come(story: Story) -> None:
    story.begin(where="FOLDER")
    story.run(0)
    assert row_of(story, 0).commit == ""
    story.save("00000003-0000000014-1b2f", units=("key 0",))
    story.run(1)
    story.save("00000003-0000000015-77aa", units=("key 1",))
    assert (row_of(story, 0).commit, row_of(story, 1).commit) == ("saved 3-14", "saved 3-15")
    story.post(SnapshotSent(name=NAME, commit="00000003-0000000015-77aa", where="FOLDER"))
    assert (row_of(story, 0).commit, row_of(story, 1).commit) == ("sent 3-14", "sent 3-15"), "a commit stands on those before it"
    story.post(SnapshotDurable(name=NAME, commit="00000003-0000000014-1b2f", where="FOLDER", receipt="md5"))
    assert (row_of(story, 0).commit, row_of(story, 1).commit) == ("durable 3-14", "sent 3-15")
    story.run(2)
    story.save("00000004-0000000001-0c0c", units=("key 2",))
    story.post(SnapshotDurable(name=NAME, commit="00000004-0000000001-0c0c", where="FOLDER", receipt="md5"))
    story.post(SnapshotSent(name=NAME, commit="00000004-0000000001-0c0c", where="FOLDER"))
    assert [row_of(story, index).commit for index in range(3)] == ["durable 3-14", "durable 3-15", "durable 4-1"]


def test_the_running_run_has_the_newest_commit_and_a_finished_one_needs_one_of_its_own(story: Story) -> None:
    story.begin()
    story.start(0)
    story.save("1-1-a")
    story.save("1-2-b")
    assert row_of(story, 0).commit == "saved 1-2"
    story.post(UnitFinished(sweep=NAME, index=0, label="run 0", status="done", seconds=3, key="key 0"))
    assert row_of(story, 0).commit == ""
    story.save("1-3-c")
    assert row_of(story, 0).commit == "", "it was captured before the run's end, and written after it"
    story.save("1-4-d", units=("key 0",))
    story.save("1-5-e", units=("key 1",))
    assert row_of(story, 0).commit == "saved 1-4"


def test_runs_of_before_say_so_and_take_no_commit_of_now(story: Story) -> None:
    story.begin()
    story.post(UnitSkipped(sweep=NAME, index=0, label="run 0", status="done", metrics={"accuracy": 0.5}))
    story.save("1-9-z")
    assert (row_of(story, 0).status, row_of(story, 0).commit) == ("done (before)", "before")


def test_a_failed_run_gives_its_reason_and_what_was_done(story: Story) -> None:
    story.begin()
    story.start(0)
    did = "4 rows at a time; the next run began"
    story.post(UnitFinished(sweep=NAME, index=0, label="run 0", status="failed", reason="ValueError: no", did=did, seconds=1))
    assert "ValueError: no → 4 rows at a time; the next run began" in story.panel.text()


def inner_run(story: Story, index: int) -> None:
    story.post(UnitStarted(sweep="inner", index=index, total=2, label=f"rate {index}"))
    for step in range(1, 4):
        story.clock.advance(0.5)
        story.post(StepDone(step=step, total=400))


def inner_sweep(story: Story, reason: str = "") -> None:
    story.post(SweepStarted(sweep="inner", total=2, done=0, failed=0))
    for index in range(2):
        inner_run(story, index)
        status = "failed" if reason else "done"
        story.post(UnitFinished(sweep="inner", index=index, label=f"rate {index}", status=status, reason=reason, seconds=1.5))


def test_of_two_sweeps_one_inside_the_other_the_outer_one_is_counted(story: Story) -> None:
    story.begin(3)
    for index in range(3):
        story.start(index, total=3, steps=0)
        inner_sweep(story)
        assert story.panel.view().count == f"{index} of 3 models"
        assert story.panel.view().eta != () or index == 0
        story.post(UnitFinished(sweep=NAME, index=index, label=f"run {index}", status="done", seconds=3))
    view = story.panel.view()
    assert view.count == "3 of 3 models"
    assert [(row.label, row.status) for row in view.rows] == [("run 0", "done"), ("run 1", "done"), ("run 2", "done")]


def test_the_inner_sweeps_steps_are_not_the_outer_runs(story: Story) -> None:
    story.begin(3)
    story.start(0, total=3, steps=0)
    story.post(SweepStarted(sweep="inner", total=2, done=0, failed=0))
    inner_run(story, 1)
    view = story.panel.view()
    assert str(bar_of(story, "run").words[0]).startswith("run 0, rate 1: step 3 of 400")
    assert row_of(story, 0).steps == "" and view.eta == ()
    story.post(WorkEnded(name=NAME, outcome="stopped"))
    assert (row_of(story, 0).status, row_of(story, 0).steps) == ("unfinished", "")


def test_a_run_that_fails_inside_another_is_told_and_not_counted(story: Story) -> None:
    story.begin(3)
    story.start(0, total=3)
    inner_sweep(story, reason="ValueError: no")
    story.post(UnitSkipped(sweep="inner", index=0, label="rate 0", status="done"))
    assert story.panel.view().count == "0 of 3 models" and "failed" not in str(bar_of(story, "sweep").words)
    assert story.panel.state.events[-1].text == "rate 1 failed: ValueError: no"


def test_a_sweep_after_another_takes_its_place(story: Story) -> None:
    story.begin(3)
    story.run(0, total=3)
    inner_sweep(story)
    assert story.panel.view().count == "2 of 2 models"
    assert [row.label for row in story.panel.view().rows] == ["rate 0", "rate 1"]


def test_more_runs_than_there_are_leave_none_to_go(story: Story) -> None:
    story.begin(2)
    for index in range(2):
        story.run(index, total=2)
    story.start(0, total=2)
    assert "0 to go" in str(bar_of(story, "sweep").words) and story.panel.view().eta != ()


def test_what_a_recovery_did_stands_in_the_running_row(story: Story) -> None:
    story.begin()
    story.start(0)
    story.post(OutOfMemoryRecovered(name=NAME, what="out of GPU memory: x", did="4 rows at a time", where="rows 1 to 8"))
    assert row_of(story, 0).did == "memory ran out: 4 rows at a time"


def test_an_interrupted_run_keeps_its_steps_and_time(story: Story) -> None:
    story.begin()
    story.start(0, steps=8)
    story.post(WorkEnded(name=NAME, outcome="stopped"))
    row = row_of(story, 0)
    assert (row.status, row.steps, row.time) == ("unfinished", "8 steps", "4 s")


def test_all_39_ended_runs_can_be_looked_through_and_of_10_000_the_newest(story: Story) -> None:
    story.begin(39)
    for index in range(39):
        story.run(index)
    assert [row.number for row in story.panel.view().ended] == list(range(39))
    for index in range(39, 300):
        story.run(index, total=10_000)
    indexes = [row.number for row in story.panel.view().ended]
    assert indexes == list(range(300 - KEPT_ROWS, 300))
    pieces = story.panel.view().pieces()
    assert sorted(row[0] for piece in pieces for row in piece) == indexes


def test_a_piece_of_the_table_is_small_whatever_the_runs_are_called(story: Story) -> None:
    story.begin()
    for index in range(20):
        label = "長い名前" * 30
        story.post(UnitFinished(sweep=NAME, index=index, label=label, status="failed", reason=label * 3, did=label, seconds=1))
    assert max(len(json.dumps(piece, ensure_ascii=False).encode()) for piece in story.panel.view().pieces()) <= PIECE_BYTES


def test_a_new_run_changes_one_piece_alone(story: Story) -> None:
    story.begin()
    for index in range(20):
        story.run(index)
    before = story.panel.view().pieces()
    story.run(20)
    after = story.panel.view().pieces()
    assert [at for at, piece in enumerate(after) if piece != before[at]] == [3]


def test_rows_of_another_work_are_gone(story: Story) -> None:
    story.begin()
    story.run(0)
    story.post(WorkStarted(name="other"))
    assert story.panel.view().ended == ()


# the end


def ends(story: Story) -> tuple[float, float] | None:
    """Seconds from now, the lowest and the highest."""
    found = [part for part in story.panel.view().eta if isinstance(part, Between)]
    now = story.clock.time()
    return (found[0].low - now, found[0].high - now) if found else None


def finish(story: Story, index: int, seconds: float, total: int = 10) -> None:
    story.post(UnitFinished(sweep=NAME, index=index, label=f"run {index}", status="done", seconds=seconds))


def test_nothing_is_said_of_the_end_before_anything_is_known(story: Story) -> None:
    story.begin(10)
    assert ends(story) is None
    story.post(StepDone(step=1))
    assert ends(story) is None


def test_even_runs_give_a_narrow_range_around_what_is_left(story: Story) -> None:
    story.begin(10)
    for index in range(5):
        finish(story, index, 60)
    low, high = ends(story) or (0.0, 0.0)
    assert low == pytest.approx(270)
    assert high == pytest.approx(330)
    assert "ends in 4 to 6 min" in story.panel.text()


def test_uneven_runs_give_a_wide_one_which_holds_what_is_likely(story: Story) -> None:
    story.begin(10)
    for index, seconds in enumerate((20, 100, 20, 100, 60)):
        finish(story, index, seconds)
    low, high = ends(story) or (0.0, 0.0)
    assert low < 300 < high
    assert high - low > 200


def test_the_running_run_counts_with_what_it_has_left(story: Story) -> None:
    story.begin(2)
    finish(story, 0, 60, total=2)
    story.start(1, total=2, steps=200)  # of 400, two a second
    low, high = ends(story) or (0.0, 0.0)
    assert low < 100 < high < 130


def test_without_a_sweep_the_steps_of_a_trainer_tell_the_end(story: Story) -> None:
    story.post(WorkStarted(name=NAME))
    for step in range(1, 101):
        story.clock.advance(1)
        story.post(StepDone(step=step, total=200))
    low, high = ends(story) or (0.0, 0.0)
    assert low == pytest.approx(90)
    assert high == pytest.approx(110)


def test_work_that_is_over_has_no_end_ahead(story: Story) -> None:
    story.begin(10)
    finish(story, 0, 60)
    story.post(WorkEnded(name=NAME, outcome="stopped"))
    assert ends(story) is None


# memory over time


def test_the_layers_of_gpu_memory_add_up_to_what_is_used(story: Story) -> None:
    story.post(
        MemorySampled(host_used=GIB, host_limit=12 * GIB, gpu_allocated=9 * GIB, gpu_reserved=10 * GIB, gpu_other=GIB // 2,
                      gpu_total=15 * GIB, gpu_guard=int(12.75 * GIB))
    )  # fmt: skip
    bar = bar_of(story, "GPU")
    assert [(part.kind, part.value / GIB) for part in bar.parts] == [("fill", 9), ("spare", 1), ("other", 0.5)]
    assert (bar.mark, bar.peak) == (int(12.75 * GIB), 10.5 * GIB)
    assert "10.5 of 15.0 GiB, peak 10.5, guard at 12.75" in story.panel.text()


def test_marks_stand_where_they_happened_and_are_named(story: Story) -> None:
    for second in range(0, 600, 10):
        sample(story, 3, gpu=8)
        if second == 300:
            story.post(MemoryReclaimed(host_before=2, host_after=1))
        if second == 450:
            story.post(MemoryPressure(level="hard", what="host RAM"))
            story.post(OutOfMemoryRecovered(what="out", did="half", where="here"))
        story.clock.advance(10)
    series = bar_of(story, "GPU").series
    assert series is not None
    assert [(kind, pytest.approx(at, abs=2)) for at, kind in series.marks] == [("clear", 51), ("pressure", 76), ("recovery", 76)]
    assert "▼ 1 clear, ▲ 1 time short of memory, ◆ 1 recovery in ten minutes" in story.panel.text()
    assert "in the last 9 min 50 s, highest 50%" in series.label


def test_marks_older_than_the_curve_are_gone(story: Story) -> None:
    sample(story, 3, gpu=8)
    story.post(MemoryReclaimed(host_before=2, host_after=1))
    for _ in range(70):
        story.clock.advance(10)
        sample(story, 3, gpu=8)
    series = bar_of(story, "GPU").series
    assert series is not None and series.marks == ()


def test_a_late_sample_stands_for_those_left_out_and_a_long_silence_begins_anew(story: Story) -> None:
    sample(story, 3)
    story.clock.advance(30)
    sample(story, 6)
    series = bar_of(story, "RAM").series
    assert series is not None and series.points == (25, 50, 50, 50)
    story.clock.advance(300)
    sample(story, 3)
    assert bar_of(story, "RAM").series is None


def test_the_disk_stands_beside_the_ram_where_it_is_known(story: Story) -> None:
    sample(story, 3)
    assert "disk" not in story.panel.text()
    story.post(MemorySampled(host_used=GIB, host_limit=12 * GIB, disk_free=2 * GIB, disk_total=100 * GIB))
    assert "2.0 GiB free, 98.0 of 100.0 GiB used (NEARLY FULL)" in story.panel.text()
