"""When memory is said to be short, and how often it is looked at."""

from __future__ import annotations

from colab_guard.memory.judge import CALM_S, NEAR_S, PRESSED_S, Judge, Thresholds

GIB = 2**30


def looks(judge: Judge, *shares: float, every_s: float = 0.1) -> list[str | None]:
    return [judge.look(number * every_s, int(share * GIB), GIB) for number, share in enumerate(shares, start=1)]


def test_steady_use_is_judged_by_itself() -> None:
    assert looks(Judge(), 0.5, 0.84, 0.84, 0.86, 0.86, 0.91, 0.91, 0.94, 0.94) == [None, None, None, "soft", None, "hard", None, "last", None]


def test_fast_growth_is_judged_by_where_it_leads() -> None:
    judge = Judge()
    assert looks(judge, 0.70, 0.78, 0.86) == [None, None, "last"], "it would be past 0.93 before the next look"
    assert judge.pressed


def test_one_jump_is_no_growth() -> None:
    judge = Judge()
    assert looks(judge, 0.2, 0.2, 0.86, 0.86) == [None, None, "soft", None]
    assert not judge.pressed


def test_it_stays_pressed_for_as_long_as_memory_is_at_the_last_level() -> None:
    judge = Judge()
    pressed = []
    for share in (0.94, 0.95, 0.94, 0.7):
        looks(judge, share, every_s=100.0)
        pressed.append(judge.pressed)
    assert pressed == [True, True, True, False]


def test_looks_are_four_a_second_ten_near_a_level_and_more_in_the_last_moments() -> None:
    judge = Judge()
    waits = []
    for number, share in enumerate((0.3, 0.3, 0.82, 0.82, 0.82, 0.89, 0.92)):
        judge.look(number * 0.1, int(share * GIB), GIB)
        waits.append(judge.wait_s)
    assert waits[:2] == [CALM_S, CALM_S] and waits[4] == NEAR_S and waits[6] == PRESSED_S


def test_chosen_thresholds_are_kept_to() -> None:
    assert looks(Judge(Thresholds(0.3, 0.5, 0.53)), 0.2, 0.35, 0.35, 0.35, 0.51, 0.51, 0.54) == [None, "soft", None, None, "hard", None, "last"]
