"""Texts of programs in the making: what is drawn, what a body of code may use, and how long it may run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

MOST_STEPS = 120
"""Iterations of loops, about, that one body may make with all that it calls."""
_numbers = [st.integers(0, n) for n in range(64)]


class Dice:
    """All choices of a program, drawn one by one, so that Hypothesis can vary and shrink them."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self._draw = draw
        self._made = 0

    def upto(self, most: int) -> int:
        """A number from 0 to `most`."""
        number: int = self._draw(_numbers[most])
        return number

    def pick(self, options: Sequence[T]) -> T:
        return options[self.upto(len(options) - 1)]

    def chance(self, percent: int) -> bool:
        return self.upto(19) >= 20 - percent // 5

    def new(self, stem: str) -> str:
        """A name that nothing else has."""
        self._made += 1
        return f"{stem}{self._made}"


@dataclass(frozen=True)
class Call:
    """A call, as a text with places for its arguments; `steps` is what it may take."""

    text: str
    arity: int
    steps: int


@dataclass
class Body:
    """A body of code in the making: the names that are surely bound in it, and where it stands."""

    kind: str
    ints: list[str]
    lists: list[str]
    calls: list[Call]
    objects: list[str] = field(default_factory=list)
    generators: list[tuple[str, int]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """Targets of assignments that are no plain names (`xs[0]`, `box.value`)."""
    times: int = 1
    steps: int = 0
    in_loop: bool = False
    in_try: bool = False
    in_finally: bool = False
    depth: int = 0

    def affords(self, steps: int) -> bool:
        return self.steps + steps * self.times <= MOST_STEPS

    def spend(self, steps: int) -> None:
        self.steps += steps * self.times


def indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
