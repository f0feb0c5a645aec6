"""Text as it ends up: bars, backspaces, cursor movements, colours."""

from __future__ import annotations

import io
import random
import re

import pytest
from tqdm import tqdm

from colab_guard.session.output.folding import Folded, folded

RED, OFF = "\x1b[31m", "\x1b[0m"


class Screen:
    """A plain model of a terminal: one character a place."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = [[]]
        self.row = self.col = 0

    def take(self, tokens: list[str]) -> None:
        for token in tokens:
            line = self.lines[self.row]
            if token == "\r":
                self.col = 0
            elif token == "\b":
                self.col = max(self.col - 1, 0)
            elif token == "\n":
                self.row, self.col = self.row + 1, 0
                if self.row == len(self.lines):
                    self.lines.append([])
            elif token == "\x1b[A":
                self.row = max(self.row - 1, 0)
            elif token == "\x1b[K":
                del line[self.col :]
            elif token == "\x1b[2K":
                line.clear()
            else:
                for letter in token:
                    line += [" "] * (self.col + 1 - len(line))
                    line[self.col] = letter
                    self.col += 1

    @property
    def text(self) -> str:
        return "\n".join("".join(line) for line in self.lines)


def test_text_without_controls_stays_as_it_is() -> None:
    text = f"one\ntwo {RED}red{OFF} three\n\n  four"
    assert folded(text) == text
    assert folded("") == ""


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("abc\rxyz", "xyz"),
        ("abcdef\rxy", "xycdef\rxy"),
        ("abc\r\ndef\r\n", "abc\ndef\n"),
        ("abc\r", "abc\r"),
        ("12\b3", "13"),
        ("abc\x1b[2K\rd", "d"),
        ("abc\r\x1b[Kd", "d"),
        (f"{RED}abc{OFF}\r{RED}abcd{OFF}", f"{RED}abcd{OFF}"),
        (f"{RED}abc{OFF}\rx", f"x{'bc'}{OFF}\rx"),
        ("a\nb\nc\x1b[2A\rx\n\n", "x\nb\nc\x1b[A\x1b[A\r".replace("\x1b[A\x1b[A\r", "\r")),
    ],
)
def test_controls_are_carried_out(written: str, seen: str) -> None:
    assert folded(written) == seen


def test_a_bar_that_was_redrawn_ten_thousand_times_is_one_line() -> None:
    text = Folded()
    for step in range(10_000):
        text.add(f"\rtraining {step:5d}/10000 [#####     ]")
    assert text.text() == "\rtraining  9999/10000 [#####     ]"
    assert text.size < 100


def test_nested_bars_are_two_lines_and_an_inner_one_that_leaves_is_gone() -> None:
    stream = io.StringIO()
    for _ in tqdm(range(3), file=stream, desc="outer", mininterval=0):
        for _ in tqdm(range(5), file=stream, desc="inner", mininterval=0, leave=False):
            pass
    lines = folded(stream.getvalue()).rstrip("\n").split("\n")
    assert "outer: 100%" in lines[0] and "3/3" in lines[0]
    assert "inner" not in "".join(lines)


def test_folding_in_pieces_and_of_what_was_folded_gives_what_a_terminal_shows() -> None:
    chance = random.Random(0)
    for _ in range(500):
        tokens = chance.choices(["\r", "\n", "\b", "\x1b[A", "\x1b[K", "\x1b[2K", "ab", "c", "defg", "h i"], k=30)
        screen, text = Screen(), Folded()
        screen.take(tokens[:20])
        for token in tokens[:20]:
            text.add(token)
        again = Folded()
        again.add(text.text())
        assert seen(text) == seen(again) == seen(screen), tokens
        # a record that comes back goes on as the first one does
        screen.take(tokens[20:])
        for one in (text, again):
            one.add("".join(tokens[20:]))
        assert seen(text) == seen(again) == seen(screen), tokens


def seen(shown: Folded | Screen) -> list[str]:
    """Lines without their blank ends, and without the cursor's way back to its place."""
    text = shown.text if isinstance(shown, Screen) else re.sub(r"(?<!^)(\x1b\[A)*\r[^\n]*$", "", shown.text())
    return [line.rstrip() for line in text.removeprefix("\r").split("\n")]


def test_many_lines_are_settled_and_taken_out_whole() -> None:
    text = Folded()
    for number in range(1000):
        text.add(f"line {number}\n")
    text.add("open")
    assert text.split() == "".join(f"line {number}\n" for number in range(1000))
    assert text.text() == "open"
    assert text.size < 10
    assert text.split() == "open", "a line without an end is taken where it is all there is"
