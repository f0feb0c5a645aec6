"""Loops that are over soon run bare, since the loop around them comes by soon enough; until they are not short any more.

Bare means: the user's own iterable, with nothing of ours in between. What was short eight times may be long the ninth
(`train(steps)` with more and more steps), so a bare loop stays so only for a few times the iterations that it used to
have. After those it is a loop like any other, with safe points, from where it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat
from types import GeneratorType
from typing import Any

from colab_guard.cells.loops import SIZED, Loop
from colab_guard.cells.points import Point
from colab_guard.cells.progress import KNOWN, progress_of

SHORT_S = 0.005
"""A loop that is over in less, `SHORT_RUNS` times in a row, runs bare."""
SHORT_RUNS = 8
SLACK = 4
END_FOR_GOOD = frozenset({GeneratorType, *KNOWN} - {enumerate})
"""Iterators that may be asked for an item once more after their end."""
END = object()
LATE: dict[tuple[int, int], Loop] = {}
"""Loops that began bare and pass safe points now, by (id of their frame, point)."""
Start = Callable[[Point, Any, int], Loop]


class Off(tuple[()]):
    """In the place of a `Bare` where a loop does not run bare: false, and harmless in another thread that just asked."""

    def over(self, iterable: Any) -> Any:
        return iterable

    def ticks(self, item: Any) -> Any:
        return repeat(item)


OFF = Off()


class ShortLoops:
    """Knows which loops run bare: `bare[slot]` is a `Bare` there, else `OFF`. `start` makes a loop that is under way."""

    def __init__(self, bare: list[Bare | Off], start: Start) -> None:
        self.bare = bare
        self.start = start
        self._runs: dict[int, int] = {}
        self._most: dict[int, int] = {}

    def ended(self, slot: int, took_s: float, loop: Loop) -> None:
        """A loop that may run bare is over."""
        if took_s >= SHORT_S or loop.mode == "replay" or loop.policy is not None:
            self._runs[slot] = 0
            return
        runs = self._runs[slot] = self._runs.get(slot, 0) + 1
        self._most[slot] = max(self._most.get(slot, 0), loop.items)
        if runs >= SHORT_RUNS:
            self.bare[slot] = Bare(self, slot, loop.where, SLACK * max(self._most[slot], 1))

    def grown(self, slot: int) -> None:
        self.bare[slot] = OFF
        self._runs[slot] = 0

    def instrument_all(self) -> None:
        """Let every loop pass safe points again: what is inside it may have grown."""
        if any(self.bare):
            self.bare[:] = [OFF] * len(self.bare)
        self._runs.clear()
        self._most.clear()


class Bare:
    """One loop that runs bare for `most` iterations."""

    __slots__ = ("_late", "_most", "_short", "_slot", "_where")

    def __init__(self, short: ShortLoops, slot: int, where: Point, most: int) -> None:
        self._short, self._slot, self._where, self._most = short, slot, where, most
        self._late = {item: LateTicks(self, item) for item in ((), True)}

    def over(self, iterable: Any) -> Any:
        """What a `for` goes over: `iterable`, where it is no longer than that; else what becomes a loop with safe points."""
        __tracebackhide__ = True
        if type(iterable) in SIZED and len(iterable) <= self._most:
            return iterable
        return chain.from_iterable(self._parts(iter(iterable)))

    def ticks(self, item: Any) -> Any:
        """What a `while` asks before its test."""
        return chain(repeat(item, self._most), self._late[item])

    def passing(self, iterator: Any, done: int, frame: Any, run: Callable[[Loop], Iterator[Any]] = Loop.run) -> Iterator[Any]:
        """Gives one part: the running loop, known for as long as it runs."""
        self._short.grown(self._slot)
        loop = self._short.start(self._where, iterator, done)
        key = id(frame), self._where.id
        del frame  # its stack holds what is running here
        LATE[key] = loop
        try:
            yield run(loop)
        finally:
            LATE.pop(key, None)
            loop.end()

    def _parts(self, iterator: Any) -> Iterator[Any]:
        """What asks for these parts is the user's frame."""
        most, kind = self._most, type(iterator)
        if kind in END_FOR_GOOD:
            yield islice(iterator, most)
            item = next(iterator, END)
            if item is END:
                return
            yield (item,)
            most += 1
        elif (progress := progress_of(iterator)) is not None:
            begun = progress(iterator)
            yield islice(iterator, most)
            if progress(iterator) - begun < most:
                return
        else:
            most = 0
        yield from self.passing(iterator, most, sys._getframe(1))


class LateTicks:
    """Behind the ticks of a bare `while`: asked for an iterator only if there have been too many."""

    def __init__(self, bare: Bare, item: Any) -> None:
        self._bare = bare
        self._run = Loop.tests if item else Loop.ticks

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self._bare.passing(None, self._bare._most, sys._getframe(1), self._run))
