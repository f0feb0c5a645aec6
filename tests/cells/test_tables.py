"""Rows and groups of pandas' tables are the same items in the same order, and their place can be kept."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tqdm import tqdm

from colab_guard.cells import tables
from colab_guard.cells.iterators import open_iterator, over_bars

FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "numbers of two kinds": lambda: pd.DataFrame({"a": range(200), "b": np.arange(200.0)}),
    "one block": lambda: pd.DataFrame(np.arange(400.0).reshape(200, 2)),
    "days and texts": lambda: pd.DataFrame(
        {"d": pd.date_range("2024-01-01", periods=150), "s": list("abc") * 50}, index=pd.date_range("2023-01-01", periods=150)
    ),
    "an index of pairs": lambda: pd.DataFrame({"a": [1] * 3}, index=pd.MultiIndex.from_tuples([(1, 2), (1, 3), (2, 2)])),
    "nothing": lambda: pd.DataFrame({"a": []}),
    "whole numbers of which one is missing": lambda: pd.DataFrame({"a": pd.array([*range(150), None, *range(49)], dtype="Int64")}),
    "categories": lambda: pd.DataFrame({"a": pd.Categorical([1, 2, 1, None, 2] * 20)}),
}


def same(one: Any, other: Any) -> None:
    (label, row), (wanted, expected) = one, other
    assert label == wanted and type(label) is type(wanted)
    assert type(row) is type(expected) and row.equals(expected)


@pytest.mark.parametrize("name", FRAMES)
def test_rows_are_pandas_own_and_go_on_in_their_place(name: str) -> None:
    frame = FRAMES[name]()
    rows = tables.rows_kept(frame.iterrows())
    assert type(rows) is tables.Rows
    found = [next(rows) for _ in range(len(frame) // 2)]
    found += pickle.loads(pickle.dumps(rows))
    wanted = list(frame.iterrows())
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        same(one, other)


@pytest.mark.parametrize("change", ["a column", "a cell", "a new column"])
def test_what_the_body_writes_is_seen_as_pandas_shows_it(change: str) -> None:
    def walked(rows: Callable[[pd.DataFrame], Any]) -> list[list[Any]]:
        frame = pd.DataFrame({"a": range(100), "b": np.arange(100.0)})
        seen = []
        for label, row in rows(frame):
            seen.append([label, *row.tolist()])
            if label == 3:
                if change == "a cell":
                    frame.loc[70, "b"] = -1.0
                else:
                    frame["b" if change == "a column" else "c"] = 5.0
        return seen

    assert walked(lambda frame: tables.rows_kept(frame.iterrows())) == walked(lambda frame: frame.iterrows())


GROUPINGS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "by a name": lambda frame: frame.groupby("a"),
    "by one name in a list": lambda frame: frame.groupby(["a"]),
    "by two": lambda frame: frame.groupby(["a", "b"]),
    "a column's": lambda frame: frame["b"].groupby(frame["a"]),
}


@pytest.mark.parametrize("name", GROUPINGS)
def test_groups_are_pandas_own_and_their_place_is_kept(name: str) -> None:
    frame = pd.DataFrame({"a": list("xyzxyz"), "b": [1, 2, 3, 1, 2, 3]})
    grouped = GROUPINGS[name](frame)
    mode, groups = open_iterator(grouped)
    assert mode == "live"
    pickle.dumps(groups)
    wanted = list(grouped)
    for one, other in zip(groups, wanted, strict=True):
        same(one, other)


def test_more_groups_than_a_snapshot_should_hold_are_left_to_pandas() -> None:
    grouped = pd.DataFrame({"a": range(tables.MOST_GROUPS + 1)}).groupby("a")
    assert open_iterator(grouped)[0] == "replay"


def test_tables_below_bars_and_in_enumerate_and_zip_are_kept_too() -> None:
    frame = pd.DataFrame({"a": list("xyx"), "b": range(3)})
    pairs = zip(frame.iterrows(), "abc", strict=True)
    for iterable in (tqdm(frame.groupby("a"), disable=True), over_bars(enumerate(frame.iterrows())), over_bars(pairs)):
        mode, iterator = open_iterator(iterable)
        next(iterator)
        assert mode == "live"
        pickle.dumps(iterator)


def test_a_generator_that_has_begun_or_is_somebody_elses_is_left_alone() -> None:
    rows = pd.DataFrame({"a": range(3)}).iterrows()
    next(rows)
    own = (n for n in range(3))
    assert tables.rows_kept(rows) is rows and tables.rows_kept(own) is own
    assert tables.groups_kept(own) is own


def test_rows_that_are_taken_in_two_places_are_the_same_rows_and_are_refused_by_name() -> None:
    held = pd.DataFrame({"a": range(6)}).iterrows()
    _, rows = open_iterator(held)
    pairs = [(label, next(held)[0]) for label, _ in rows]
    assert pairs == [(0, 1), (2, 3), (4, 5)]
    held = pd.DataFrame({"a": range(6)}).iterrows()
    zipped = over_bars(zip(held, held, strict=True))
    assert [(one[0], other[0]) for one, other in zipped] == [(0, 1), (2, 3), (4, 5)]
    held = pd.DataFrame({"a": range(6)}).iterrows()
    _, rows = open_iterator(held)
    next(rows)
    pickle.dumps(rows)
    next(held)
    with pytest.raises(TypeError, match="taken in another place"):
        pickle.dumps(rows)


def test_groups_and_bars_that_somebody_else_has_stay_theirs() -> None:
    frame = pd.DataFrame({"a": list("xyzxyz")})
    groups = iter(frame.groupby("a"))
    for key, _ in over_bars(enumerate(groups)):
        assert key == 0
        break
    assert [key for key, _ in groups] == ["y", "z"]
    bar = iter(tqdm(range(6), disable=True))
    assert list(over_bars(zip(bar, bar, strict=True))) == [(0, 1), (2, 3), (4, 5)]


def test_bins_of_time_are_cut_as_pandas_cuts_them() -> None:
    def sums(grouped: Callable[[pd.DataFrame], Any], opened: Callable[[Any], Any]) -> list[float]:
        frame = pd.DataFrame({"v": [1.0, 3.0, 2.0, 3.0]}, index=pd.date_range("2024-01-01", periods=4, freq="12h"))
        found = []
        for _, part in opened(grouped(frame)):
            found.append(float(part["v"].sum()))
            frame.loc["2024-01-02 12:00", "v"] = 100.0
        return found

    for grouped in (lambda frame: frame.resample("1D"), lambda frame: frame.groupby(pd.Grouper(freq="1D"))):
        assert sums(grouped, lambda one: open_iterator(one)[1]) == sums(grouped, iter)
