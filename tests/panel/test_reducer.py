"""The state that events make."""

from __future__ import annotations

import json
import math

import pytest

from colab_guard.events import (
    CommitPassedOver,
    Event,
    HeartbeatLost,
    HeartbeatSent,
    HostLimitNear,
    LeaseWaitedFor,
    MemoryReclaimed,
    MemorySampled,
    MirrorChanged,
    MirrorTried,
    OutOfMemoryRecovered,
    PingHeard,
    Resumed,
    RuntimeReleased,
    SnapshotDurable,
    SnapshotNotTaken,
    SnapshotSent,
    SpaceNotFreed,
    StepDone,
    StopRequested,
    SweepStarted,
    UnitFinished,
    UnitSkipped,
    WorkEnded,
    WorkStarted,
)
from colab_guard.panel.measured import CURVE_POINTS, SERIES_POINTS, Curve
from colab_guard.panel.state import ROWS, PanelState
from tests.panel.story import NAME, Story


@pytest.fixture
def story() -> Story:
    return Story()


def test_before_the_first_save_it_says_not_saved_and_that_everything_is_at_risk(story: Story) -> None:
    story.begin(where="/drive")
    story.clock.advance(40)
    assert story.safety().startswith("NOT SAVED")
    assert story.risk().startswith("at risk now: everything, 40 s of work")


def test_the_safety_line_gives_the_age_the_place_and_the_resume_point(story: Story) -> None:
    story.begin(where="FOLDER")
    story.save("1-1-a")
    story.post(SnapshotSent(name=NAME, commit="1-1-a", where="FOLDER"))
    story.clock.advance(28)
    story.save("1-2-b")
    story.clock.advance(12)
    assert story.safety() == "saved 12 s ago, sent 40 s ago to FOLDER (not verified there): would resume at model 16, step 400"
    assert "durable" not in story.safety()


def test_sent_is_never_called_durable_and_durable_needs_its_own_event(story: Story) -> None:
    story.begin(where="nfs")
    story.save()
    story.post(SnapshotDurable(name=NAME, commit="1-1-a", where="nfs", receipt="etag"))
    assert "durable 0 s ago at nfs (verified by etag)" in story.safety()
    assert "sent" not in story.safety()


def test_what_is_at_risk_tells_a_dead_kernel_from_a_lost_machine(story: Story) -> None:
    story.begin(where="FOLDER")
    story.clock.advance(200)
    story.save("1-1-a", "model 3, step 10", age_s=7)
    story.clock.advance(30)
    story.post(SnapshotSent(name=NAME, commit="1-1-a", where="FOLDER"))
    story.clock.advance(60)
    story.save("1-2-b", "model 4, step 20", age_s=3)
    story.clock.advance(5)
    assert story.risk() == (
        "at risk now: the last 8 s if the kernel dies; the last 1 min 42 s if the machine is lost "
        "(sent, not verified there: a new machine goes on at model 3, step 10)"
    ), "counted from when the state was captured, not from when it was written, sent or proved"
    story.post(SnapshotDurable(name=NAME, commit="1-2-b", where="FOLDER", receipt="md5"))
    assert story.risk().endswith("the last 8 s if the machine is lost (durable there: a new machine goes on at model 4, step 20)")


def test_what_was_sent_so_long_ago_that_its_place_is_forgotten_counts_from_the_start(story: Story) -> None:
    story.begin(where="FOLDER")
    story.clock.advance(100)
    story.save()
    story.post(SnapshotSent(name=NAME, commit="0-9-z", where="FOLDER"))
    story.clock.advance(1)
    assert story.risk().endswith("the last 1 min 41 s if the machine is lost (sent, not verified there)")


def test_without_a_mirror_all_of_it_is_at_risk_with_the_machine(story: Story) -> None:
    story.begin()
    story.save()
    assert "on this machine only" in story.safety()
    assert "all of it if the machine is lost (no --to was given)" in story.risk()


def test_a_failed_write_says_not_saved_even_though_an_older_commit_is(story: Story) -> None:
    story.begin()
    story.save()
    story.post(SnapshotNotTaken(name=NAME, position="p", reason="OSError: no space left on device", failed=True))
    assert story.safety().startswith("the newest snapshot is NOT SAVED: OSError: no space left on device")
    story.save("1-2-b")
    assert story.safety().startswith("saved 0 s ago")


def test_plain_work_promises_nothing_that_it_has_not(story: Story) -> None:
    story.post(WorkStarted(name=NAME, saves=False))
    story.clock.advance(40)
    view = story.panel.view()
    assert story.safety() == "NOT SAVED: with work() saves nothing"
    assert story.risk() == "at risk now: everything, 40 s of work, if the kernel dies"
    assert view.asks == () and view.facts == ()
    text = story.panel.text()
    assert "stop: the interrupt button, at once" in text and "safe point" not in text and "--to" not in text
    story.post(WorkEnded(name=NAME, outcome="failed"))
    assert story.panel.view().commands == () and story.safety() == "NOT SAVED: with work() saves nothing"


def test_one_refused_snapshot_is_one(story: Story) -> None:
    story.begin()
    story.save()
    story.post(SnapshotNotTaken(name=NAME, position="p", reason="a thread"))
    assert story.safety().endswith(". 1 later snapshot refused: a thread")


def test_refusals_are_counted_and_said_once_among_the_events(story: Story) -> None:
    story.begin()
    for _ in range(5):
        story.post(SnapshotNotTaken(name=NAME, position="p", reason="loss is not spent"))
    assert "refused so far: loss is not spent" in story.safety()
    assert len(story.panel.state.events) == 1


def test_a_resumed_work_has_something_saved_from_before(story: Story) -> None:
    story.begin()
    story.post(Resumed(name=NAME, commit="1-1-a", position="model 16, step 400", depth=2))
    assert story.safety().startswith(
        "saved before this start (verified by its checksums, when it was read), on this machine only: would resume at model 16"
    )


def resumed(story: Story, source: str) -> None:
    story.begin(where="gs://runs")
    story.post(Resumed(name=NAME, commit="1-1-a", position="model 16, step 400", depth=2, source=source))
    story.clock.advance(60)


def test_what_was_fetched_from_the_mirror_is_there_and_not_proved_before_a_receipt_comes(story: Story) -> None:
    resumed(story, "mirror")
    assert ", sent before this start to gs://runs (not verified there): would resume at model 16, step 400" in story.safety()
    assert story.risk().endswith(
        "the last 1 min 00 s if the machine is lost (sent, not verified there: a new machine goes on at model 16, step 400)"
    )
    assert "mirror: gs://runs: ok" in story.panel.text()
    assert story.panel.state.events[-1].text == "Resumed at model 16, step 400 (from the mirror)"
    story.save("1-2-b")
    story.post(SnapshotDurable(name=NAME, commit="1-2-b", where="gs://runs", receipt="md5"))
    assert story.safety().startswith("saved 0 s ago, durable 0 s ago at gs://runs (verified by md5)")


def test_of_what_the_mirror_has_from_before_this_start_nothing_is_claimed_where_it_was_not_asked(story: Story) -> None:
    resumed(story, "local")
    for _ in range(2):
        assert ", not sent to gs://runs since this start: would resume" in story.safety()
        assert story.risk().endswith("; all that the mirror has not from before this start, if the machine is lost")
        assert "mirror: gs://runs: nothing sent since this start" in story.panel.text()
        story.save("1-2-b")


def test_a_commit_that_was_passed_over_belongs_to_the_work_that_starts_next(story: Story) -> None:
    story.begin()
    story.post(WorkEnded(name=NAME, outcome="failed"))
    story.post(CommitPassedOver(name=NAME, commit="1-2-b", reason="a pack is missing"))
    story.post(WorkStarted(name=NAME))
    assert [line.text for line in story.panel.state.events] == ["A commit could not be used, what is whole was: a pack is missing"]


def test_a_mirror_that_closes_after_the_end_still_says_what_it_sent(story: Story) -> None:
    story.begin(where="FOLDER")
    story.save(kind="cell")
    story.post(WorkEnded(name=NAME, outcome="done"))
    story.post(SnapshotSent(name=NAME, commit="1-1-a", where="FOLDER"))
    assert "sent 0 s ago to FOLDER (not verified there): finished" in story.safety()
    assert story.risk() == ""


def test_work_whose_end_could_not_be_saved_is_not_said_to_restore_its_results(story: Story) -> None:
    story.begin()
    story.save(kind="unit", position="the end of model 39")
    story.post(SnapshotNotTaken(name=NAME, position="the end", reason="OSError: no space left on device", failed=True))
    story.post(WorkEnded(name=NAME, outcome="done"))
    assert story.safety().endswith("on this machine only: would resume at the end of model 39")
    assert "restores its results" not in story.panel.html()


def test_another_work_begins_empty_but_knows_the_machine(story: Story) -> None:
    story.begin()
    story.run(0, reason="ValueError: no")
    story.save()
    story.post(MemorySampled(host_used=1, host_limit=4))
    story.post(WorkStarted(name="other"))
    state = story.panel.state
    assert (state.name, state.sweep, state.events, state.safety.saved) == ("other", None, (), None)
    assert state.memory is not None


def test_another_work_is_not_said_to_have_lost_the_browser_that_the_one_before_had_lost(story: Story) -> None:
    story.begin()
    for event in (HeartbeatSent(name=NAME), PingHeard(name=NAME), HeartbeatLost(name=NAME, silent_s=130), WorkEnded(name=NAME, outcome="done")):
        story.post(event)
    assert "browser LOST" in story.panel.text()
    story.clock.advance(7200)
    story.post(WorkStarted(name="other"))
    assert "connection:" not in story.panel.text()
    story.post(PingHeard(name="other", round_trip_s=0.012))
    assert "browser heard 0 s ago (1 ping), round trip 12 ms" in story.panel.text()
    assert "reconnect" not in story.panel.text() and story.panel.state.events == ()


def test_runs_are_counted_once_whether_or_not_the_sweep_start_counted_them(story: Story) -> None:
    for done in (0, 2):
        story.begin(done=done)
        for index in range(2):
            story.post(UnitSkipped(sweep=NAME, index=index, label=f"run {index}", status="done"))
        story.run(2)
        assert story.panel.state.sweep is not None
        assert story.panel.state.sweep.done == 3


@pytest.mark.parametrize("total", [39, 10_000])
def test_ten_rows_are_in_sight_and_the_rest_is_a_number(story: Story, total: int) -> None:
    story.begin(total)
    for index in range(30):
        story.run(index, total=total, reason="ValueError: no" if index < 6 else "")
    story.start(30, total=total)
    sweep = story.panel.state.sweep
    assert sweep is not None
    assert len(sweep.rows) == ROWS
    assert [row.index for row in sweep.rows if row.status == "failed"] == [2, 3, 4, 5]
    assert sweep.rows[-1].status == "running"
    assert f"{total - 10:,} more" in story.panel.text()


def test_the_best_run_follows_the_direction_of_its_metric(story: Story) -> None:
    story.begin()
    for index, accuracy in enumerate((0.5, 0.9, 0.7)):
        story.run(index, accuracy=accuracy)
    assert "best so far: accuracy 0.9: run 1 (rank=1)" in story.panel.text()
    story.post(WorkStarted(name="other"))
    for index, loss in enumerate((0.5, 0.1, math.nan)):
        story.post(UnitFinished(sweep="s", index=index, label=f"r{index}", status="done", metrics={"eval_loss": loss}))
    assert "best so far: eval_loss 0.1: r1" in story.panel.text()


def test_a_loss_that_is_not_finite_is_shown_as_it_is(story: Story) -> None:
    story.begin()
    story.start(0)
    story.post(StepDone(step=4, total=400, loss=math.nan))
    assert "step 4 of 400, loss is nan (best 0.3333)" in story.panel.text()
    json.dumps(story.panel.state.to_json(), allow_nan=False)


def test_a_loss_curve_of_a_million_steps_keeps_its_shape_in_sixty_points() -> None:
    curve = Curve()
    for step in range(100_000):
        curve = curve.add(100_000 - step)
    assert len(curve.points) <= CURVE_POINTS
    assert list(curve.points) == sorted(curve.points, reverse=True)


def test_a_run_that_was_interrupted_is_neither_done_nor_failed(story: Story) -> None:
    story.begin()
    story.start(0)
    story.post(StopRequested(name=NAME, by="interrupt"))
    assert "stopping at the next safe point" in story.panel.text()
    story.post(WorkEnded(name=NAME, outcome="stopped"))
    assert "■ unfinished | run 0" in story.panel.text()
    assert "0 of 39 done" in story.panel.text()


def test_memory_without_a_gpu_is_not_available_and_with_one_stands_against_the_guard(story: Story) -> None:
    gib = 2**30
    story.post(MemorySampled(host_used=3 * gib, host_limit=12 * gib))
    assert "GPU   n/a" in story.panel.text()
    story.post(
        MemorySampled(
            host_used=2 * gib,
            host_limit=12 * gib,
            gpu_allocated=9 * gib,
            gpu_reserved=10 * gib,
            gpu_other=gib // 2,
            gpu_total=15 * gib,
            gpu_guard=10 * gib,
        )
    )
    assert "10.5 of 15.0 GiB, peak 10.5, guard at 10.00 (OVER THE GUARD)" in story.panel.text()
    assert "9.0 allocated, 1.0 reserved beside it, 0.5 other processes" in story.panel.text()
    assert "2.0 of 12.0 GiB, peak 3.0" in story.panel.text()


def test_the_memory_series_is_ten_minutes_of_ten_seconds(story: Story) -> None:
    for _ in range(1000):
        story.clock.advance(1)
        story.post(MemorySampled(host_used=1, host_limit=4))
    assert story.panel.state.memory is not None
    assert len(story.panel.state.memory.host_series) == SERIES_POINTS


def test_what_a_clear_freed_and_who_still_holds_is_said(story: Story) -> None:
    gib = 2**30
    story.post(MemoryReclaimed(host_before=4 * gib, host_after=5 * gib, gpu_before=9 * gib, gpu_after=gib, holders=("model",)))
    assert "GPU 8.0 GiB freed, RAM 1.0 GiB more in use, 0 s ago; still held by model" in story.panel.text()


def test_the_connection_is_lost_and_found_in_words(story: Story) -> None:
    story.post(HeartbeatSent())
    story.post(PingHeard(round_trip_s=0.012))
    story.clock.advance(90)
    story.post(HeartbeatLost(silent_s=90))
    assert "browser LOST, last heard 1 min 30 s ago (1 ping), round trip 12 ms" in story.panel.text()
    story.post(PingHeard())
    assert "LOST" not in story.panel.text()
    assert "(2 pings), round trip 12 ms, 1 reconnect" in story.panel.text()
    assert story.panel.state.events[-1].text == "The browser is heard again"


def test_a_degraded_mirror_is_said_with_its_reason_and_so_is_its_return(story: Story) -> None:
    story.begin(where="FOLDER")
    for lag_s in (285, 300):
        story.post(MirrorChanged(name=NAME, state="degraded", reason="errno 107", lag_s=lag_s))
    assert "mirror: FOLDER: degraded: errno 107, 5 min 00 s behind" in story.panel.text()
    story.post(MirrorChanged(name=NAME, state="ok"))
    assert [line.text for line in story.panel.state.events] == ["Mirror degraded: errno 107", "Mirror is back"]


def test_what_the_mirror_showed_before_the_work_and_whom_it_waits_for_are_said(story: Story) -> None:
    story.post(MirrorTried(name=NAME, where="s3://runs", seconds=0.2, free_bytes=None, proof="S3's ETag, the md5"))
    story.post(MirrorTried(name=NAME, where="drive", seconds=1.0, free_bytes=3 * 2**30, proof=""))
    story.post(LeaseWaitedFor(name=NAME, where="s3://runs", holder="host 'a', process 7", seconds=88.0))
    tried, unproved, waited = [line.text for line in story.panel.state.events]
    assert tried == "Mirror s3://runs: written and read back in 0.2 s; it proves what it holds: S3's ETag, the md5"
    assert "3.0 GiB free; it proves nothing: commits there are sent, not durable" in unproved
    assert waited == "s3://runs is held by host 'a', process 7, which shows no life: free in 88 s"


def test_the_mirrors_measured_speed_is_shown(story: Story) -> None:
    story.begin(where="s3://runs")
    story.post(MirrorChanged(name=NAME, state="ok", lag_s=3.0, bytes_per_s=5 * 2**20))
    assert "mirror: s3://runs: ok, 3 s behind, 5 MiB/s" in story.panel.text()


def test_a_recovery_is_said_with_what_was_full_and_what_is_tried(story: Story) -> None:
    story.begin()
    what = "out of GPU memory: OutOfMemoryError: CUDA out of memory"
    story.post(OutOfMemoryRecovered(name=NAME, what=what, did="the same again", where="rows 1 to 8 of a batch of 8"))
    assert "Out of GPU memory: OutOfMemoryError: CUDA out of memory; the same again (rows 1 to 8 of a batch of 8)" in story.panel.text()


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            HostLimitNear(left_s=600, limit_s=43200, whose="CPU and GPU", asked=True),
            "This host may end the machine in 10 min 00 s, 12 h 00 min after its start (CPU and GPU); a commit was asked for",
        ),
        (
            HostLimitNear(left_s=600, limit_s=43200),
            "This host may end the machine in 10 min 00 s, 12 h 00 min after its start",
        ),
        (SpaceNotFreed(reason="OSError: disk"), "Older commits could not be removed, the store grows: OSError: disk"),
        (RuntimeReleased(kept="a run failed"), "The machine is kept: a run failed"),
        (RuntimeReleased(), "The work is done and durable: the machine is given back"),
    ],
)
def test_the_hosts_end_a_machine_that_stays_and_a_store_that_grows_are_said(story: Story, event: Event, told: str) -> None:
    story.post(event)
    assert [line.text for line in story.panel.state.events] == [told]


def test_the_state_is_json(story: Story) -> None:
    story.begin()
    story.run(0)
    story.save()
    again = json.loads(json.dumps(story.panel.state.to_json()))
    assert again["sweep"]["rows"][0]["label"] == "run 0"
    assert PanelState().to_json()["phase"] == "idle"


def test_a_sweep_that_goes_on_keeps_its_rows(story: Story) -> None:
    story.begin()
    story.run(0)
    story.post(SweepStarted(sweep=NAME, total=39, done=1, failed=0))
    sweep = story.panel.state.sweep
    assert sweep is not None
    assert (sweep.done, len(sweep.rows)) == (1, 1)
