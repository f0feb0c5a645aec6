"""The schedule bounds both the work at risk and the time that snapshots cost."""

from __future__ import annotations

from colab_guard.clock import FakeClock
from colab_guard.snapshots import Schedule
from colab_guard.snapshots.schedule import RETRY_S


def schedule(every_s: float = 10.0, budget: float = 0.01) -> tuple[FakeClock, Schedule]:
    clock = FakeClock()
    return clock, Schedule(clock, every_s, budget)


def test_the_first_snapshot_is_due_after_one_interval() -> None:
    clock, plan = schedule()
    assert not plan.due()
    clock.advance(10)
    assert plan.due()


def test_a_cheap_snapshot_leaves_the_interval_as_asked() -> None:
    _, plan = schedule()
    plan.captured(0.01)
    plan.written(0.01, 0.1)
    assert plan.interval_s == 10.0


def test_a_long_stall_stretches_the_interval_to_keep_the_budget() -> None:
    _, plan = schedule(every_s=10, budget=0.01)
    plan.captured(0.5)
    assert plan.interval_s == 50.0


def test_processor_time_beside_training_counts_against_the_budget() -> None:
    _, plan = schedule(every_s=10, budget=0.01)
    plan.captured(0.02)
    plan.written(0.02, 1.0, 0.78)
    assert plan.interval_s == 80.0 and plan.cpu_s == 0.78


def test_a_join_before_a_step_counts_as_time_in_safe_points() -> None:
    _, plan = schedule()
    plan.captured(0.01)
    plan.joined(0.02)
    assert plan.safe_s == 0.02


def test_a_snapshot_that_was_given_up_is_tried_again_soon() -> None:
    clock, plan = schedule()
    clock.advance(10)
    before = plan.last_taken
    plan.captured(0.01)
    plan.taken_back(before)
    clock.advance(RETRY_S)
    assert plan.due() and plan.last_taken == before


def test_a_slow_disk_is_given_three_times_the_time_that_it_needs() -> None:
    _, plan = schedule(every_s=1, budget=0.5)
    plan.captured(0.1)
    plan.written(0.1, 4.0)
    assert plan.interval_s == 3 * 4.1


def test_a_place_that_was_refused_is_tried_again_soon_and_then_less_and_less_soon() -> None:
    clock, plan = schedule()
    clock.advance(10)
    waits = []
    for _ in range(12):
        plan.refused_at("inner")
        before = clock.monotonic()
        while not plan.may("inner"):
            clock.advance(0.01)
        waits.append(clock.monotonic() - before)
    assert waits[0] < 0.1
    assert waits == sorted(waits)
    assert waits[-1] <= 5.1
    plan.taken_at("inner")
    plan.refused_at("inner")
    clock.advance(0.1)
    assert plan.may("inner")


def test_other_places_have_their_chance_at_once() -> None:
    clock, plan = schedule()
    clock.advance(100)
    for _ in range(12):
        plan.refused()
        plan.refused_at("in the middle of an episode")
    clock.advance(0.1)
    assert plan.due() and plan.may("the end of an episode") and not plan.may("in the middle of an episode")


def test_a_disk_that_stays_full_is_tried_less_and_less_often() -> None:
    clock, plan = schedule()
    clock.advance(100)
    tries = 0
    for _ in range(1000):
        clock.advance(0.1)
        if plan.due():
            tries += 1
            plan.captured(0.01)
            plan.refused()
            plan.failed()
    assert 3 <= tries <= 14  # once a second would be a hundred
    clock.advance(plan.interval_s)
    assert plan.due(), "within an interval it is tried again"
    plan.written(0.01, 0.1)
    plan.failed()
    clock.advance(1.1)
    assert plan.due(), "after one that was written, soon again"
