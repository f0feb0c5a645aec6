"""What the rewrite learned about a piece of code: its points, and how each is reached.

A point is a place where running code may stand when a snapshot is taken: an instrumented loop, a call into a library
loop or into a function of the notebook, a `yield`, or the end of a statement of the cell. Its chain leads from the
frame's top inwards: pairs of a compound statement's id and the arm of it that was taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from colab_guard.cells.edits import RangeChange

PointKind = Literal["for", "while", "if", "with", "try", "match", "call", "yield", "delegate", "stmt"]
Arm = str
"""`body` or `orelse`; of a `match`, `case` and its number."""
Chain = tuple[tuple[int, Arm], ...]

CELL = "cell"


@dataclass(frozen=True, slots=True)
class Point:
    """One numbered place. `live` are the names that code after it may read before writing them.

    For a call: `callee` leads to what is called (a name, then attributes), and `temps` are hidden names of what its
    statement had evaluated before it. For a `yield from`: `holder` is the hidden name of what it delegates to.
    """

    id: int
    kind: PointKind
    chain: Chain
    line: int
    live: frozenset[str]
    text: str = ""
    grown: RangeChange | None = None
    """A loop's range of constants as it was committed and as it is now."""
    callee: tuple[str, ...] = ()
    temps: tuple[str, ...] = ()
    holder: str = ""
    end: int = 0
    """The last line of its statement."""
    anew: frozenset[str] = frozenset()
    """Names that every iteration of a loop binds anew."""

    @property
    def is_loop(self) -> bool:
        return self.kind in ("for", "while")


@dataclass(slots=True)
class FrameInfo:
    """The points of one kind of frame: the cell's own, or (by id) a notebook function's."""

    id: str
    name: str = ""
    points: dict[int, Point] = field(default_factory=dict)
    calls: dict[tuple[int, int], int] = field(default_factory=dict)
    """Calls on a path, by (end line, end column) in the source."""
    yields: dict[tuple[int, int], int] = field(default_factory=dict)
    """Places where a generator waits, likewise."""
    locals: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    """A function's own variables; and those that it shares with other functions."""
    first: str = ""
    """A function's first parameter."""
    passive: bool = False
    """A generator that only gives items: it is looked at where it waits, and has no safe points."""

    def loops_around(self, chain: Chain) -> int:
        """How many loops of this frame a point with this chain stands in."""
        return sum(self.points[number].is_loop for number, _ in chain)

    def signature(self) -> list[list[object]]:
        """The shape that a position refers to: equal signatures mean that positions can be carried over."""
        return [[p.id, p.kind, [list(step) for step in p.chain]] for p in self.points.values()]

    def shape(self) -> dict[str, Any]:
        """What must be equal in edited code for a frame of this kind to be entered in it."""
        return {"id": self.id, "signature": self.signature(), "cells": list(self.cells)}
