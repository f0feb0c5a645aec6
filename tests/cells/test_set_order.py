"""Cells that go through sets, killed at each of their safe points: the same order after a resume."""

from __future__ import annotations

import pytest

from tests.cells.harness import FakeEngine, killed_at, results, run

CELLS = {
    "a worklist that pops": """
todo, done, steps = {(0, 0)}, set(), []
while todo:
    here = todo.pop()
    steps.append(here)
    done.add(here)
    for dx, dy in ((0, 1), (1, 0), (0, -1)):
        there = (here[0] + dx, here[1] + dy)
        if there not in done and 0 <= there[0] < 5 and 0 <= there[1] < 4:
            todo.add(there)
steps
""",
    "a game of life": """
alive = {(1, 0), (2, 1), (0, 2), (1, 2), (2, 2), (5, 5), (5, 6), (5, 7)}
seen = []
for generation in range(4):
    near = {}
    for x, y in alive:
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                if dx or dy:
                    near[x + dx, y + dy] = near.get((x + dx, y + dy), 0) + 1
    born = {cell for cell, n in near.items() if n == 3 or (n == 2 and cell in alive)}
    alive -= alive - born
    alive |= born
    seen.append(list(alive))
seen
""",
    "a set in an object in a function": """
class World:
    def __init__(self):
        self.open = {8, 0, 16, 3}
def walk(world, out):
    for step in range(6):
        world.open.discard(random.choice(sorted(world.open)))
        world.open.add(step * 24)
        world.open.add(step * 8 + 3)
        out.append(list(world.open))
    return out
out = walk(World(), [])
out
""",
}


@pytest.mark.parametrize("name", CELLS)
def test_the_order_of_sets_is_that_of_an_uninterrupted_run(name: str) -> None:
    setup, source = "import random", CELLS[name]
    whole = FakeEngine()
    expected, value = run(setup, source, whole)
    for number in (1, 4, 9, 15):
        if number < len(whole.seen) - 6:  # loops that are over soon pass their safe points by, some of them in one run only
            _, names, again, second = killed_at(setup, source, number)
            assert again == value, f"killed at {whole.seen[number].text}"
            assert second.inexact == []
            assert results(names).keys() == results(expected).keys()
