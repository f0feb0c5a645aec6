"""What a cell changes in functions that were there before it, and iterators and files that it goes over."""

from __future__ import annotations

import csv
import itertools
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from colab_guard import state
from colab_guard.state import Live

SOURCE = """
def remember(item, into=[], *, seen={}):
    into.append(item)
    seen[item] = len(into)
    remember.calls += 1
remember.calls = 0

def counted():
    count = 0
    def counter():
        nonlocal count
        count += 1
        return count
    return counter
counter = counted()
counter.__qualname__ = "counter"
"""


def notebook() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(SOURCE, names)
    return names


def brought_back(names: dict[str, Any], wanted: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`wanted` restored in a fresh notebook; the notebook, and what came back."""
    captured = state.capture({"names": wanted}, {"names": {}}, Live(names, dict(names)))
    fresh = notebook()
    buffers = {buffer.key: bytearray(buffer.data) for buffer in captured.buffers}
    needed, _ = state.restore(captured.parts, buffers, Live(fresh, dict(fresh)))
    return fresh, needed["names"]


def test_defaults_and_attributes_of_an_earlier_function_are_put_back_into_the_live_one() -> None:
    names = notebook()
    names["remember"]("a")
    names["remember"]("b")
    fresh, back = brought_back(names, {"remember": names["remember"], "alias": names["remember"].__defaults__[0]})
    live = fresh["remember"]
    assert back["remember"] is live
    assert live.__defaults__ == (["a", "b"],) and live.__defaults__[0] is back["alias"]
    assert live.__kwdefaults__ == {"seen": {"a": 1, "b": 2}}
    assert live.calls == 2


def test_the_variable_that_an_earlier_function_closes_over_is_put_back_and_shared() -> None:
    names = notebook()
    names["counter"]()
    names["counter"]()
    (cell,) = names["counter"].__closure__
    fresh, back = brought_back(names, {"counter": names["counter"], "cell": cell})
    assert fresh["counter"]() == 3
    assert back["cell"] is fresh["counter"].__closure__[0]


def test_what_cannot_be_kept_of_a_function_stays_as_it_is_here_and_is_named() -> None:
    names = notebook()
    names["remember"].__defaults__[0].append(1)
    names["remember"].helper = (part for part in [1])
    captured = state.capture({"names": {"remember": names["remember"]}}, {"names": {}}, Live(names, dict(names)))
    assert len(captured.placeholders) == 1
    fresh = notebook()
    state.restore(captured.parts, {}, Live(fresh, dict(fresh)))
    assert fresh["remember"].__defaults__ == ([1],)
    assert not hasattr(fresh["remember"], "helper")


@pytest.mark.parametrize("newline", [None, ""])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_whose_lines_are_gone_over_is_left_at_its_place_and_comes_back_there(tmp_path: Path, newline: str | None, end: str) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes("".join(f"zeile {number} ß{end}" for number in range(3000)).encode())
    with path.open(newline=newline, encoding="utf-8") as file, path.open(newline=newline, encoding="utf-8") as other:
        for _ in range(1001):
            assert next(file) == next(other)
        _, back = brought_back(notebook(), {"file": file})
        rest = other.read()
        assert file.read() == rest
        with back["file"]:
            assert back["file"].read() == rest


def test_a_csv_reader_goes_on_at_the_next_row_with_its_count_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('a,"b\nc"\n1,2\n3,4\n')
    with path.open(newline="") as file:
        reader = csv.reader(file)
        next(reader)
        _, back = brought_back(notebook(), {"reader": reader, "file": file})
        assert back["reader"].line_num == 2
        assert list(back["reader"]) == [["1", "2"], ["3", "4"]]
        assert back["reader"].line_num == 4
        back["file"].close()


def test_pairwise_goes_on_with_the_pair_that_would_have_come() -> None:
    over = iter("abcd")
    pairs = itertools.pairwise(over)
    next(pairs)
    _, back = brought_back(notebook(), {"pairs": pairs, "fresh": itertools.pairwise("xyz")})
    assert list(back["pairs"]) == [("b", "c"), ("c", "d")]
    assert list(back["fresh"]) == [("x", "y"), ("y", "z")]


def test_a_view_of_an_array_is_a_view_of_that_array_again() -> None:
    numpy = pytest.importorskip("numpy")
    world = numpy.zeros((4, 6))
    column, back_to_front = world[:, 2], world[::-1]
    _, back = brought_back(notebook(), {"world": world, "column": column, "turned": back_to_front})
    assert back["world"].flags.owndata
    assert back["column"].base is back["world"] is back["turned"].base
    back["world"][3, 2] = 5
    assert back["column"][3] == 5 and back["turned"][0, 2] == 5


def test_matches_layouts_and_flat_iterators_come_back() -> None:
    numpy = pytest.importorskip("numpy")
    pattern = re.compile("a(b*)")
    third = list(pattern.finditer("ab a abb"))[2]
    flat = numpy.arange(5.0).flat
    next(flat)
    names = {"match": third, "whole": pattern.fullmatch("abb"), "layout": struct.Struct("<q"), "flat": flat}
    _, back = brought_back(notebook(), names)
    assert back["match"].regs == third.regs and back["match"].re == pattern
    assert back["whole"].group(1) == "bb"
    assert back["layout"].pack(3) == struct.pack("<q", 3)
    assert list(back["flat"]) == [1.0, 2.0, 3.0, 4.0]
