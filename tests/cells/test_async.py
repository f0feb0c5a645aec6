"""Top-level `await`: loops of the cell, and of coroutines that it awaits itself, are resumed inside; tasks are not lost silently."""

from __future__ import annotations

import pytest

from tests.cells.harness import FakeEngine, Killed, killed_at, run

SETUP = """
import asyncio, random, threading
async def work(n, out):
    for i in range(n):
        await asyncio.sleep(0)
        out.append((i, random.random()))
    return len(out)
async def both(out):
    first = await work(3, out)
    second = await work(2, out)
    return first + second
"""
CELLS = {
    "loops of the cell": "out = []\nfor i in range(3):\n    await asyncio.sleep(0)\n    out.append(i)\nwhile len(out) < 5:\n"
    "    await asyncio.sleep(0)\n    out.append(random.random())\nlen(out)",
    "an awaited coroutine": "out = []\nn = await work(4, out)\nn",
    "a coroutine in a coroutine": "out = []\nn = await both(out)\nn",
    "a coroutine in a loop": "out = []\nfor k in range(2):\n    n = await work(3, out)\nn",
}


@pytest.mark.parametrize("name", CELLS)
def test_loops_that_await_are_resumed_inside(name: str) -> None:
    whole = FakeEngine()
    names, value = run(SETUP, CELLS[name], whole)
    assert any(position.depth for position in whole.seen) and not whole.refused
    for number in range(len(whole.seen)):
        first, again, result, _ = killed_at(SETUP, CELLS[name], number)
        assert again["out"] == names["out"] and result == value, first.position


def test_a_loop_in_gathered_coroutines_is_refused_and_its_statement_begins_again() -> None:
    engine = FakeEngine()
    run(SETUP, "out = []\nawait asyncio.gather(work(3, out), work(3, out))\nlen(out)", engine)
    assert [position.depth for position in engine.seen] == [0] * len(engine.seen)
    assert {reason.partition(" (")[0] for reason in engine.refused} == {"work() runs as a task of its own"}


def test_no_snapshot_is_taken_while_a_task_is_under_way_beside_the_cell() -> None:
    engine = FakeEngine()
    cell = "out = []\nasyncio.create_task(work(4, out))\nfor i in range(8):\n    await asyncio.sleep(0)\nlen(out)"
    _, value = run(SETUP, cell, engine)
    assert value == 4
    assert "work() is under way beside the cell, as a task of its own (1 in all)" in engine.refused
    assert engine.seen[-2].text == "after line 6", "it is saved again when the task has ended"


def test_a_thread_that_runs_the_notebooks_function_is_named() -> None:
    engine = FakeEngine(kill_at=5)
    cell = """import time
def wait():
    time.sleep(0.5)
threading.Thread(target=wait, daemon=True).start()
for i in range(3):
    pass
"""
    with pytest.raises(Killed):
        run(SETUP, cell, engine)
    assert engine.captured is not None
    assert [lost.path for lost in engine.captured.placeholders] == ["the thread of wait()"]
