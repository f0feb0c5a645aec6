"""Iterating tables of pandas with a place that can be captured.

pandas iterates rows and groups by generators of its own, whose place cannot be kept; to lead a new one past what was done
gives other items where the body has written into the table meanwhile. So rows are given by pandas' generator, and a resume
goes on over the table as it was when the loop began. Groups, which pandas cuts from a sorted copy of that moment, are made
at once, if nobody else can take some of them.
"""

from __future__ import annotations

import inspect
import itertools
import types
from collections.abc import Iterator
from typing import Any

from colab_guard.state import copies_on_write

MOST_GROUPS = 1000
"""More than these are too much to be kept in each snapshot."""


class Rows:
    """What `DataFrame.iterrows` gives; `at` of them are done. `table` is as it was when it began."""

    def __init__(self, table: Any, at: int, rows: Iterator[Any]) -> None:
        self._table = table
        self._at = at
        self._rows = rows
        self._last: Any = None

    @classmethod
    def of(cls, rows: types.GeneratorType[Any, None, None]) -> Rows:
        frame: Any = rows.gi_frame
        return cls(as_it_is(frame.f_locals["self"]), 0, rows)

    def __iter__(self) -> Rows:
        return self

    def __next__(self) -> Any:
        __tracebackhide__ = True
        self._last = next(self._rows)
        self._at += 1
        return self._last

    def __reduce__(self) -> tuple[Any, ...]:
        if self._others_take_some():
            raise TypeError("rows of it are taken in another place too")
        return rows_from, (self._table, self._at)

    def _others_take_some(self) -> bool:
        frame = self._rows.gi_frame if isinstance(self._rows, types.GeneratorType) else None
        if frame is None:
            return False
        given = self._last[1] if self._at else None
        return frame.f_locals.get("s") is not given


def rows_from(table: Any, at: int) -> Rows:
    """The rows of `table` after the first `at`. (It is iterated whole: the kind of a row's values depends on all of them.)"""
    return Rows(table, at, itertools.islice(table.iterrows(), at, None))


def as_it_is(frame: Any) -> Any:
    """What `frame.iterrows()` goes over: a copy, but where pandas too shows what is written in place meanwhile."""
    in_place = getattr(getattr(frame, "_mgr", None), "is_single_block", False) and not copies_on_write()
    return frame.copy(deep=not in_place)


def rows_kept(iterator: Any) -> Any:
    """`iterator`, or `Rows` of it where it is a generator of rows that has not begun."""
    if has_not_begun(iterator) and _made_in(iterator) == "pandas.core.frame" and iterator.gi_code.co_name == "iterrows":
        return Rows.of(iterator)
    return iterator


def groups_kept(iterator: Any) -> Any:
    """`iterator`, which nobody else has, or all it gives where that are groups of pandas' that can be captured."""
    if not has_not_begun(iterator) or not _made_in(iterator).startswith("pandas.core.groupby."):
        return iterator
    inside = iterator.gi_frame.f_locals
    if isinstance(inside.get(".0"), types.GeneratorType):  # it puts keys into tuples
        inside = inside[".0"].gi_frame.f_locals
    grouper = inside.get("self")
    # bins of time are cut from the table itself, one after the other
    few = 0 < int(getattr(grouper, "ngroups", 0)) <= MOST_GROUPS and not hasattr(grouper, "bins")
    return iter(list(iterator)) if few else iterator


def has_not_begun(iterator: Any) -> bool:
    """Whether it is a generator of which nobody has asked for an item."""
    return isinstance(iterator, types.GeneratorType) and inspect.getgeneratorstate(iterator) == inspect.GEN_CREATED


def _made_in(iterator: Any) -> str:
    return str(iterator.gi_frame.f_globals.get("__name__"))
