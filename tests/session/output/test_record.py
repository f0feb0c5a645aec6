"""The record of a cell's output: folded, updated, cleared, bounded; the parts that it gives to commits."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable

import pytest

from colab_guard.session.output.bundles import Bundle, bundled
from colab_guard.session.output.items import ClearNext, Displayed, LeftOut, Limits, Printed
from colab_guard.session.output.record import INDEX, PREFIX, Record

PNG = base64.b64encode(bytes(range(256)) * 40).decode()
SMALL = Limits(segment=(2000, 50_000, 4), head=(8000, 200_000, 8), tail=(20_000, 400_000, 16))


def shown(record: Record) -> list[object]:
    """Items in short: text by stream, displays by their plain text."""
    found: list[object] = []
    for item in record.items():
        if isinstance(item, Printed) and found and isinstance(found[-1], tuple) and found[-1][0] == item.stream:
            found[-1] = (item.stream, found[-1][1] + item.text)
        elif isinstance(item, Printed):
            found.append((item.stream, item.text))
        elif isinstance(item, Displayed):
            found.append(("update " if item.update else "") + str(item.bundle.data().get("text/plain")))
        else:
            found.append(item)
    return found


def plain(text: str) -> Bundle:
    return bundled({"text/plain": text}, {})


def test_streams_and_displays_stay_in_order() -> None:
    record = Record()
    record.write("stdout", "a")
    record.write("stdout", "b\n")
    record.write("stderr", "c")
    record.show(plain("d"))
    record.write("stdout", "e")
    assert shown(record) == [("stdout", "ab\n"), ("stderr", "c"), "d", ("stdout", "e")]


def test_an_update_changes_its_display_wherever_it_stands() -> None:
    record = Record(SMALL)
    record.show(plain("0"), "one")
    record.show(plain("0"), "one")
    for number in range(300):
        record.write("stdout", "much text\n")
        record.update(plain(str(number)), "one")
    assert shown(record)[:2] == ["299", "299"]
    assert shown(Record.from_parts(record.parts(), SMALL))[:2] == ["299", "299"]


def test_the_newest_update_of_another_cells_display_is_kept() -> None:
    record = Record()
    for number in range(9):
        record.update(plain(str(number)), "of another cell")
    assert shown(Record.from_parts(record.parts())) == ["update 8"]


def test_clearing_empties_at_once_or_with_the_next_output() -> None:
    record = Record()
    record.write("stdout", "gone")
    record.clear(wait=False)
    assert shown(record) == []
    record.write("stdout", "old")
    record.clear(wait=True)
    assert shown(record) == [("stdout", "old"), ClearNext()]
    record = Record.from_parts(record.parts())
    assert shown(record) == [("stdout", "old"), ClearNext()]
    record.write("stdout", "new")
    assert shown(record) == [("stdout", "new")]


def test_images_are_bytes_of_their_own_and_come_back_as_they_were() -> None:
    record = Record()
    for value in (PNG, PNG + "\n", base64.b64decode(PNG)):
        record.show(bundled({"image/png": value, "text/plain": "<Figure>"}, {"image/png": {"width": 3}}))
    parts = record.parts()
    assert base64.b64decode(PNG) in parts.values()
    assert len(parts) == 3, "the index, the segment, and one image"
    assert PNG[:50].encode() not in parts[PREFIX + "000000"]
    items = [item.bundle for item in Record.from_parts(parts).items() if isinstance(item, Displayed)]
    assert [item.data()["image/png"] for item in items] == [PNG, PNG + "\n", PNG]
    assert items[0].to_json()["metadata"] == {"image/png": {"width": 3}}


def test_what_is_no_json_is_left_out_of_a_display_and_the_rest_is_kept() -> None:
    bundle = bundled({"text/plain": "x", "application/x": object(), "application/json": {"a": [1, None]}}, {"b": object()})
    assert bundle.data() == {"text/plain": "x", "application/json": {"a": [1, None]}}


def test_text_that_is_no_valid_unicode_comes_back() -> None:
    record = Record()
    record.write("stdout", "broken \udcff █")
    assert shown(Record.from_parts(record.parts())) == [("stdout", "broken \udcff █")]


def test_what_was_sealed_is_the_same_bytes_in_every_later_commit() -> None:
    record = Record()
    for number in range(20_000):
        record.write("stdout", f"step {number} loss {number / 7}\n")
    first = record.parts()
    record.write("stdout", "one more\n")
    second = record.parts()
    changed = {name for name in second if first.get(name) != second[name]}
    assert sum(len(second[name]) for name in changed) < 100_000 < sum(map(len, second.values()))
    assert all(first[name] is second[name] for name in second if name not in {*changed, INDEX})


def test_a_long_record_keeps_its_beginning_and_its_end_and_says_what_is_left_out_between() -> None:
    record = Record()
    whole = [f"step {number} of very many\n" for number in range(200_000)]
    for line in whole:
        record.write("stdout", line)
    assert sum(map(len, record.parts().values())) < 1.5 * 2**20
    (_, head), left_out, (_, tail) = shown(record)
    assert "".join(whole).startswith(head) and len(head) > 100_000
    assert "".join(whole).endswith(tail) and len(tail) > 500_000
    assert isinstance(left_out, LeftOut) and left_out.bytes == len("".join(whole)) - len(head) - len(tail)
    assert str(left_out) == f"... {left_out.bytes / 1e6:.1f} MB of output left out ..."


def test_very_many_tiny_outputs_and_very_many_images_are_bounded_too() -> None:
    record = Record()
    for number in range(30_000):
        record.write(("stdout", "stderr")[number % 2], "x")
    assert len(list(record.items())) < 8000
    record = Record()
    chance = random.Random(0)
    for _ in range(1000):
        record.show(bundled({"image/png": chance.randbytes(10_000)}, {}), "an id")
    parts = record.parts()
    assert len(parts) < 320
    assert sum(map(len, parts.values())) < 18 * 2**20
    assert "displays left out" in str(next(item for item in record.items() if isinstance(item, LeftOut)))


def test_a_live_figure_that_was_drawn_a_thousand_times_is_kept_once() -> None:
    record = Record()
    chance = random.Random(0)
    record.show(bundled({"image/png": chance.randbytes(10_000)}, {}), "live")
    for _ in range(1000):
        newest = chance.randbytes(10_000)
        record.update(bundled({"image/png": newest}, {}), "live")
    parts = record.parts()
    assert sum(map(len, parts.values())) < 12_000
    assert newest in parts.values()


def test_one_huge_text_and_one_huge_display_are_bounded() -> None:
    record = Record()
    record.write("stdout", "a long line\n" * 10**6)
    record.show(bundled({"text/html": "x" * 5_000_000, "text/plain": "big"}, {}))
    assert sum(map(len, record.parts().values())) < 1.5 * 2**20
    assert shown(record)[-1] == "... a display of 5.0 MB left out ..."


def test_a_line_without_end_is_bounded() -> None:
    record = Record()
    for _ in range(300_000):
        record.write("stdout", "." * 20)
    assert sum(map(len, record.parts().values())) < 2 * 2**20


def test_a_record_that_comes_back_goes_on_as_if_it_had_never_left() -> None:
    chance = random.Random(1)
    for _ in range(30):
        steps = [random_step(chance) for _ in range(120)]
        here, there = Record(SMALL), Record(SMALL)
        for number, step in enumerate(steps):
            for record in (here, there):
                step(record)
            if number % 17 == 0:
                there = Record.from_parts(there.parts(), SMALL)
        assert shown(here) == shown(there)


def random_step(chance: random.Random) -> Callable[[Record], None]:
    kind = chance.choice(["write"] * 6 + ["bar"] * 3 + ["show", "show", "update", "update", "image", "clear"])
    text = f"{chance.random()}\n" * chance.choice([1, 1, 1, 30])
    stream = chance.choice(["stdout", "stderr"])
    display_id = chance.choice(["a", "b", "c"])
    blob = bundled({"image/png": chance.randbytes(5000)}, {})
    wait, clears = chance.random() < 0.5, chance.random() < 0.2
    return {
        "write": lambda record: record.write(stream, text),
        "bar": lambda record: record.write(stream, "\r" + text[:10]),
        "show": lambda record: record.show(plain(text), display_id if wait else None),
        "update": lambda record: record.update(plain(text), display_id),
        "image": lambda record: record.show(blob, display_id if wait else None),
        "clear": lambda record: record.clear(wait) if clears else None,
    }[kind]


def test_a_commit_without_output_has_an_empty_record_and_a_newer_format_is_refused() -> None:
    assert not Record.from_parts({"graph": b""})
    with pytest.raises(ValueError, match="newer"):
        Record.from_parts({INDEX: json.dumps({"format": 99}).encode()})
