"""`yield from` on the way to a position: a generator that stands in one, and what it goes on with.

A running generator cannot be asked what it delegates to, so instrumented code keeps that in a hidden variable for as long
as its statement runs (`Point.holder`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import CodeType, FrameType, GeneratorType
from typing import Any

from colab_guard.cells.places import ending_at
from colab_guard.cells.points import FrameInfo, Point


class Again:
    """An iterator that gives one item of no meaning first: the one that a generator waited with."""

    def __init__(self, iterator: Any) -> None:
        self.iterator = iterator
        self._begun = False

    def __iter__(self) -> Again:
        return self

    def __next__(self) -> Any:
        __tracebackhide__ = True
        if self._begun:
            return next(self.iterator)
        self._begun = True
        return None

    def send(self, value: Any) -> Any:
        __tracebackhide__ = True
        return self.iterator.send(value)

    def throw(self, *error: Any) -> Any:
        __tracebackhide__ = True
        return self.iterator.throw(*error)

    def close(self) -> None:
        if hasattr(self.iterator, "close"):
            self.iterator.close()


def delegated(frame: FrameType, codes: Mapping[CodeType, FrameInfo]) -> tuple[FrameType, FrameInfo, Point] | None:
    """The frame whose `yield from` runs the generator of `frame`, and where it stands; None where there is none."""
    outer = frame.f_back
    if outer is not None and isinstance(outer.f_locals.get("self"), Again):
        outer = outer.f_back
    info = codes.get(outer.f_code) if outer is not None else None
    if outer is None or info is None:
        return None
    point = info.points.get(info.yields.get(ending_at(outer), 0))
    if point is None or point.kind != "delegate":
        return None
    below = delegate_of(outer.f_locals, point)
    return (outer, info, point) if isinstance(below, GeneratorType) and below.gi_frame is frame else None


def delegate_of(names: Mapping[str, Any], point: Point) -> Any:
    """What the frame with the variables `names` delegates to at `point`."""
    return behind(names.get(point.holder))


def behind(below: Any) -> Any:
    """What the user's code delegates to, where a resume may have put `Again` before it."""
    return below.iterator if isinstance(below, Again) else below
