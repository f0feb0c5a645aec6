"""When loops look at the clock, and how much work is at risk where iterations change their length; no real time passes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from colab_guard.cells import Execution, Scope, compile_cell, loops, runtime, short
from colab_guard.cells.pace import Pace
from colab_guard.cells.progress import progress_of
from colab_guard.clock import FakeClock
from colab_guard.snapshots import Position, Schedule
from tests.cells.harness import FakeEngine, fresh_shell, killed_at, results, run

EVERY_S = 10.0


class TimedEngine(FakeEngine):
    """Snapshots by the real schedule on a fake clock; notes how long after the last one each was taken."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.schedule = Schedule(clock, EVERY_S, 0.01)
        self.taken_at = [clock.monotonic()]
        self.watch: Callable[[], None] = lambda: None

    def due(self) -> bool:
        return self.schedule.due()

    def overdue(self) -> bool:
        return self.schedule.overdue()

    def periodically(self, name: str, every_s: float, action: Callable[[], None]) -> Callable[[], None]:
        self.watch = action
        return lambda: None

    def take(self, kind: str, position: Position, capture: Any, unit: Any = None) -> bool:
        super().take(kind, position, capture, unit)
        self.schedule.captured(0.001)
        self.schedule.written(0.001, 0.01)
        self.taken_at.append(self.clock.monotonic())
        return True


def most_at_risk(source: str) -> tuple[float, TimedEngine]:
    """The longest time between two snapshots of a cell in which `work(seconds)` takes that long."""
    clock = FakeClock()
    engine = TimedEngine(clock)
    shell = fresh_shell()

    def work(seconds: float) -> None:
        # as real time would, with the watching thread beside it
        while seconds > 0:
            clock.advance(min(seconds, 0.5))
            seconds -= 0.5
            engine.watch()

    shell.user_ns["work"] = work
    cell = compile_cell(shell, source)
    Execution(cell, Scope(shell.user_ns, cell.original, skip=["work"]), engine, clock.monotonic).run(None)  # type: ignore[arg-type]
    gaps = [b - a for a, b in itertools.pairwise(engine.taken_at)]
    return max(gaps), engine


WAIT_S = EVERY_S * 0.25 * 2
"""A due snapshot waits at most so long for a loop further out."""

CASES = {
    "even iterations": ("for i in range(100):\n    work(1)", 1),
    "a while loop": ("n = 0\nwhile n < 100:\n    n += 1\n    work(1)", 1),
    "iterations that become slow": ("for i in range(5000):\n    work(0.000001 if i < 4900 else 3)", 3),
    "a while loop that becomes slow": ("n = 0\nwhile n < 5000:\n    n += 1\n    work(0.000001 if n < 4900 else 3)", 3),
    "an iterator that is counted and becomes slow": ("for i in map(int, range(5000)):\n    work(0.000001 if i < 4900 else 3)", 3),
    "a few fast iterations first": ("for i in range(40):\n    if i < 5:\n        continue\n    work(7)", 7),
    "an inner loop that grows": (
        "for epoch in range(30):\n    for batch in range(3 if epoch < 20 else 400):\n        work(0.0001 if epoch < 20 else 0.2)",
        0.2,
    ),
    "an inner while that grows": (
        "for epoch in range(30):\n    n = 0\n    while n < (3 if epoch < 20 else 400):\n        n += 1\n        work(0.0001 if epoch < 20 else 0.2)",
        0.2,
    ),
    "a function that is given more and more to do": (
        "def train(n):\n    for i in range(n):\n        work(0.0001 if n < 100 else 1)\nfor n in [1] * 20 + [300]:\n    train(n)",
        1,
    ),
    "outer iterations of uneven length": (
        "for i in range(40):\n    for j in range(2 if i % 4 else 60):\n        work(0.5)",
        0.5,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_no_more_work_is_at_risk_than_an_interval_a_wait_and_one_iteration(name: str) -> None:
    source, iteration_s = CASES[name]
    longest, engine = most_at_risk(source)
    assert engine.refused == []
    # a bare loop may have a few iterations before it passes safe points again
    grown = short.SLACK * 3 * iteration_s if "grow" in name or "more and more" in name else 0
    grown += loops.STRIDE * iteration_s if name == "iterations that become slow" else 0
    assert longest <= EVERY_S + WAIT_S + iteration_s + grown + 0.01


def test_a_due_snapshot_waits_for_the_outermost_loop_that_comes_soon() -> None:
    _, engine = most_at_risk("for i in range(60):\n    for j in range(10):\n        work(0.1)")
    assert {position.depth for position in engine.seen[1:-1]} == {1}


def test_a_snapshot_is_taken_in_the_inner_loop_where_the_outer_one_is_long() -> None:
    _, engine = most_at_risk("for i in range(4):\n    for j in range(100):\n        work(1)")
    assert 2 in {position.depth for position in engine.seen}


def test_looks_double_while_iterations_are_fast_and_fall_back_to_one_when_slow() -> None:
    pace, now, done, looks = Pace(0.0, 4096), 0.0, 0, []
    for _ in range(14):
        done += pace.looks
        now += pace.looks * 1e-7
        looks.append(pace.next(now, done))
    assert looks[:4] == [2, 4, 8, 16]
    assert looks[-1] == 4096
    assert pace.next(now + 0.06, done + 1) == 1


def test_iterations_of_a_fifth_of_a_millisecond_are_all_looked_at() -> None:
    pace, now = Pace(0.0, 4096), 0.0
    for done in range(1, 20):
        now += 0.0003
        assert pace.next(now, done) == 1


@pytest.mark.parametrize(
    "iterable",
    [range(7), [1, 2, 3], (1, 2), {1: 2, 3: 4}, {1: 2}.items(), {1, 2}, enumerate("abc"), zip([1, 2], [3, 4], strict=True), zip("ab", range(2), strict=False)],
    ids=lambda iterable: type(iterable).__name__,
)
def test_where_an_iterator_is_grows_by_one_with_every_item(iterable: Any) -> None:
    iterator = iter(iterable)
    progress = progress_of(iterator)
    assert progress is not None
    places = [progress(iterator)]
    for _ in iterator:
        places.append(progress(iterator))
    steps = [b - a for a, b in itertools.pairwise(places)]
    assert steps == [1] * len(steps)
    assert progress(iterator) <= places[-1]


def test_iterators_that_something_else_may_move_are_counted() -> None:
    one = iter([1, 2, 3, 4])
    assert progress_of(zip(one, one, strict=True)) is None
    assert progress_of(iter(x for x in [1])) is None
    assert progress_of(map(str, [1])) is None


STRIDES = {
    "range": "out = []\nfor i in range(9):\n    out.append(i)\n    if i % 4 == 3:\n        continue\n    out.append('x')",
    "nested": "out = []\nfor i, c in enumerate('abcd'):\n    for k, v in {'x': 1, 'y': 2, 'z': 3}.items():\n        out.append((i, c, k, v))\n    else:\n        out.append('end')",
    "a list that grows": "todo = [1, 2, 3]\nseen = []\nfor x in todo:\n    seen.append(x)\n    if x == 3:\n        todo += [8, 9]",
    "zip and break": "out = []\nfor a, b in zip(range(9), 'abcdefgh'):\n    if a == 6:\n        break\n    out.append(b)\nelse:\n    out.append('never')",
    "an iterator used inside": "it = iter(range(12))\nout = []\nfor x in it:\n    out.append((x, next(it)))",
}


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("name", STRIDES)
def test_a_cell_killed_between_or_within_strides_ends_as_if_nothing_had_happened(
    name: str, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = STRIDES[name]
    monkeypatch.setattr(loops, "MOST_BETWEEN_LOOKS", 1)
    whole = FakeEngine()
    expected, value = run("", source, whole)
    monkeypatch.setattr(loops, "TRIVIAL_LOOKS", 1)
    monkeypatch.setattr(loops, "STRIDE", stride)
    strided = FakeEngine()
    names, _ = run("", source, strided)
    assert same(names, expected)
    for number in range(len(strided.seen) - 1):
        _, names, again, _ = killed_at("", source, number)
        assert same(names, expected)
        assert again == value


BARE = {
    "for over a list": "def total(xs):\n    n = 0\n    for x in xs:\n        n += x\n    return n\nout = []\nfor size in [1, 2, 2, 1, 2, 40]:\n    out.append(total(list(range(size))))",
    "for over a generator": "def count(n):\n    for i in range(n):\n        yield i\ndef total(n):\n    s = 0\n    for x in count(n):\n        s += x\n    return s\nout = []\nfor size in [1, 2, 2, 1, 2, 30]:\n    out.append(total(size))",
    "for over enumerate": "def total(xs):\n    s = 0\n    for i, x in enumerate(xs):\n        s += i * x\n    return s\nout = []\nfor size in [1, 2, 2, 1, 2, 30]:\n    out.append(total(list(range(size))))",
    "for over zip": "def total(n):\n    it = iter(range(100))\n    s = 0\n    for a, b in zip(it, range(n)):\n        s += a * b\n    return s, next(it)\nout = []\nfor size in [1, 2, 2, 1, 2, 30]:\n    out.append(total(size))",
    "for over an object": "class Bag:\n    def __init__(self, n):\n        self.n = n\n    def __iter__(self):\n        return iter([self.n] * self.n)\ndef total(bag):\n    s = 0\n    for x in bag:\n        s += x\n    return s\nout = []\nfor size in [1, 2, 2, 1, 2, 20]:\n    out.append(total(Bag(size)))",
    "while": "def halve(n):\n    k = 0\n    while n > 1:\n        n -= 1\n        k += n\n    return k\nout = []\nfor size in [2, 3, 3, 2, 3, 30]:\n    out.append(halve(size))",
    "while with else": "def halve(n):\n    k = 0\n    while n > 1:\n        n -= 1\n        k += n\n    else:\n        k += 1000\n    return k\nout = []\nfor size in [2, 3, 3, 2, 3, 30]:\n    out.append(halve(size))",
    "at the cell's own level": "out = []\nfor size in [1, 2, 2, 1, 2, 40]:\n    for x in range(size):\n        if x == 35:\n            break\n        out.append(x)",
}


@pytest.mark.parametrize("name", BARE)
def test_a_bare_loop_that_grows_passes_safe_points_again_and_is_resumed_inside(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = BARE[name]
    monkeypatch.setattr(loops, "MOST_BETWEEN_LOOKS", 1)
    expected, _ = run("", source, FakeEngine())
    monkeypatch.setattr(short, "SHORT_RUNS", 2)
    monkeypatch.setattr(short, "SHORT_S", 5.0)
    monkeypatch.setattr(runtime, "LONG_S", 5.0)  # on a busy machine any iteration may be a long one
    bare = FakeEngine()
    names, _ = run("", source, bare)
    assert same(names, expected)
    inside = [number for number, position in enumerate(bare.seen) if position.text.startswith("iteration 6 of")]
    inside = [number for number in inside if bare.seen[number].depth >= 2]
    assert inside[4:], "the grown loop was not entered"
    for number in (inside[4], inside[-1]):
        first, names, _, _ = killed_at("", source, number)
        assert same(names, expected)
        assert first.position is not None
        assert first.position.depth >= 2


def same(names: dict[str, Any], expected: dict[str, Any]) -> bool:
    kept = {key for key, value in results(expected).items() if isinstance(value, (int, list, str, tuple, dict))}
    return all(names[key] == expected[key] for key in kept)
