"""How the place in an iterable is kept: which of the ways, and the state that a snapshot holds.

live     the iterator itself is captured (built-in iterators, DataLoader iterators, a sweep's, plain objects)
replay   the iterable is captured with the random state at the loop's entry; a resume makes a new iterator, skips what
         was done, and compares the last item
while    nothing to keep but the count
barred   the iterator cannot be kept: no snapshot while the loop runs
"""

from __future__ import annotations

import csv
import functools
import inspect
import io
import itertools
import operator
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Literal

from colab_guard.cells import tables

Mode = Literal["live", "replay", "while", "barred", "none"]


@dataclass(slots=True)
class LoopState:
    """A loop's place: `done` iterations are complete, `item` is out in a governed loop's body.

    For a replay: the iterable, the random state at the loop's entry, how many items were fetched, and what the last
    one looked like.
    """

    mode: Mode
    done: int
    iterator: Any = None
    item: Any = None
    iterable: Any = None
    random: Any = None
    fetched: int = 0
    last: str | None = None


class Counted:
    """An iterator that remembers how many items it gave, and the last one."""

    def __init__(self, iterator: Iterator[Any], fetched: int = 0, last: Any = None) -> None:
        self._iterator = iterator
        self.fetched = fetched
        self.last = last

    def __iter__(self) -> Counted:
        return self

    def __next__(self) -> Any:
        __tracebackhide__ = True
        item = next(self._iterator)
        self.fetched += 1
        self.last = item
        return item


_SAMPLES: tuple[Iterable[Any], ...] = ([], (), range(1), range(2**70), {}, {}.items(), {}.values(), set(), "", b"", bytearray())
CALLED = type(iter(int, 1))
BUILTIN_ITERATORS: frozenset[type] = frozenset(type(iter(sample)) for sample in _SAMPLES) | {
    enumerate,
    zip,
    map,
    filter,
    reversed,
    type(reversed([])),
    type(reversed(range(3))),
    type(reversed({})),
    CALLED,
}
OWN_ITERATORS: frozenset[type] = BUILTIN_ITERATORS | {types.GeneratorType}
"""Asking these for an iterator draws no random numbers."""
ITERATED_BY = frozenset({"__main__", "collections.abc"})
"""Modules whose generators are kept where they stand: replaying a `Sequence` would call the notebook's code again."""
READER = type(csv.reader([]))
ITERTOOLS: frozenset[type] = frozenset(value for value in vars(itertools).values() if isinstance(value, type))


class BarIterator:
    """Iterates a tqdm bar as its own generator does, but can be captured: the bar and the iterator below it."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._below: Iterator[Any] | None = _kept(bar.iterable)
        self._begun = False

    def __iter__(self) -> BarIterator:
        return self

    def __next__(self) -> Any:
        __tracebackhide__ = True
        if self._below is None:
            raise StopIteration
        if self._begun and not self._bar.disable:
            self._bar.update(1)
        try:
            item = next(self._below)
        except StopIteration:
            self._below = None
            self._bar.close()
            raise
        self._begun = True
        return item

    def grow(self, longer: Callable[[Any], Any], iterable: Sized) -> bool:
        """Let the iterator below be what `longer` makes of it, over `iterable`; whether that could be done."""
        below = longer(self._below)
        if below is None:
            return False
        self._below, self._bar.iterable = below, iterable
        if self._bar.total is not None:
            self._bar.total = len(iterable)
        return True


def over_bars(iterator: Any) -> Any:
    """`iterator`, an `enumerate` or `zip`, over what can be captured in place of generators of bars and tables, not yet begun.

    A generator that somebody else has too is left alone: who takes an item there takes it here.
    """
    parts, counts = _parts(iterator)
    alone = _counts_alone()[type(iterator)]
    again = [_over_bar(part, alone=count == alone) for part, count in zip(parts, counts, strict=True)]
    if all(map(operator.is_, again, parts)):
        return iterator
    reduced: Any = iterator.__reduce__()
    return enumerate(again[0], reduced[1][1]) if type(iterator) is enumerate else zip(*again, strict=bool(reduced[2:]))


def _parts(iterator: Any) -> tuple[tuple[Any, ...], list[int]]:
    """What an `enumerate` or `zip` goes over, and what Python counts of who has each."""
    reduced: Any = iterator.__reduce__()
    parts = reduced[1][:1] if type(iterator) is enumerate else reduced[1]
    return parts, list(map(sys.getrefcount, parts))


@functools.cache
def _counts_alone() -> dict[type, int]:
    """What `_parts` counts of parts that nobody else has."""
    return {kind: _parts(kind(letter for letter in ""))[1][0] for kind in (enumerate, zip)}


def _over_bar(iterator: Any, *, alone: bool) -> Any:
    if type(iterator) in (enumerate, zip):
        return over_bars(iterator) if alone else iterator
    if not tables.has_not_begun(iterator):
        return iterator
    if not alone:
        return tables.rows_kept(iterator)
    bar = inspect.getgeneratorlocals(iterator).get("self")
    if is_bar(bar) and iterator.gi_code.co_name == "__iter__":
        return BarIterator(bar)
    return tables.rows_kept(tables.groups_kept(iterator))


def _kept(iterable: Any) -> Any:
    """The iterator over `iterable`, or one over the same items of a table of pandas' that can be captured."""
    __tracebackhide__ = True
    iterator = iter(iterable)
    return tables.rows_kept(iterator if iterator is iterable else tables.groups_kept(iterator))


class Lines:
    """The lines of a text file, as its own iterator gives them; but its position can be told meanwhile."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line:
            raise StopIteration
        return line


class Matches:
    """What `re.finditer` gives: the match that it gave last tells where it goes on."""

    def __init__(self, iterator: Iterator[re.Match[Any]], last: re.Match[Any] | None = None) -> None:
        self._iterator = iterator
        self._last = last

    def __iter__(self) -> Matches:
        return self

    def __next__(self) -> re.Match[Any]:
        self._last = next(self._iterator)
        return self._last

    def __reduce__(self) -> tuple[Any, ...]:
        if self._last is None:
            raise TypeError("a search that has found nothing yet cannot be kept")
        return _searched_on, (self._last,)


def _searched_on(last: re.Match[Any]) -> Matches:
    iterator = last.re.finditer(last.string, last.pos, last.endpos)
    next(found for found in iterator if found.span() == last.span())
    return Matches(iterator, last)


def _is_search(iterator: Any) -> bool:
    if type(iterator) is not CALLED:
        return False
    called: Any = iterator.__reduce__()[1][0]
    return type(getattr(called, "__self__", None)).__name__ == "SRE_Scanner" and str(called.__name__) == "search"


def is_file(iterable: object) -> bool:
    """Whether `iterable` is a file on a disk, opened for reading as it is."""
    below: Any = iterable.buffer if type(iterable) is io.TextIOWrapper else iterable
    return type(below) in (io.BufferedReader, io.BufferedRandom) and isinstance(below.raw, io.FileIO) and below.seekable()


def is_bar(iterable: object) -> bool:
    """Whether `iterable` is a tqdm progress bar around something that it iterates."""
    names = {f"{base.__module__}.{base.__name__}" for base in type(iterable).__mro__}
    return "tqdm.std.tqdm" in names and getattr(iterable, "iterable", None) is not None


def open_iterator(iterable: Any) -> tuple[Mode, Iterator[Any]]:
    """The iterator over `iterable`, and the way in which its place can be kept."""
    __tracebackhide__ = True
    if is_bar(iterable):
        return "live", BarIterator(iterable)
    if is_file(iterable):
        return "live", Lines(iterable) if isinstance(iterable, io.TextIOWrapper) else iter(iterable)
    iterator = _kept(iterable)
    if _is_search(iterator):
        return "live", Matches(iterator)
    if type(iterator) in BUILTIN_ITERATORS or type(iterator) in ITERTOOLS:
        return ("live" if _known(iterator) or _reducible(iterator) else _again(iterable, iterator)), iterator
    if isinstance(iterator, types.GeneratorType):
        made_in = iterator.gi_frame.f_globals.get("__name__") if iterator.gi_frame is not None else None
        return ("live" if made_in in ITERATED_BY or iterator is iterable else "replay"), iterator
    if _known(iterator) or _reducible(iterator):
        return "live", iterator
    return _again(iterable, iterator), iterator


def _again(iterable: object, iterator: object) -> Mode:
    return "barred" if iterator is iterable else "replay"


def _known(iterator: object) -> bool:
    """Iterators that `state` knows how to reduce though their own reduce fails."""
    return type(iterator) in (READER, itertools.pairwise) or any(
        base.__name__ in ("_BaseDataLoaderIter", "flatiter") for base in type(iterator).__mro__
    )


def _reducible(iterator: object) -> bool:
    try:
        iterator.__reduce_ex__(4)
    except (TypeError, AttributeError, NotImplementedError):
        return False
    return True


def cannot_keep_place(iterable: object) -> str:
    """Why the place in a live `iterable` cannot be kept while a loop goes over it; "" where it can, as far as is known.

    Only what is an iterator already is told: to ask another object for its iterator would run its code.
    """
    if iterable is None or not hasattr(type(iterable), "__next__") or isinstance(iterable, types.GeneratorType) or is_bar(iterable):
        return ""
    kind = type(iterable)
    if kind in BUILTIN_ITERATORS or _known(iterable) or kind in ITERTOOLS or is_file(iterable) or _reducible(iterable):
        return ""
    return f"the place of a {kind.__module__}.{kind.__qualname__} cannot be kept".replace("builtins.", "")
