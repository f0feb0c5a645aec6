"""What a stream's text comes to: carriage returns, backspaces and cursor movements are carried out as they arrive.

A progress bar that was redrawn ten thousand times is one line. Text without such controls stays as it is, colours too,
and costs one look. The newest lines stay open, so that nested bars, which go up again, are folded as well.
"""

from __future__ import annotations

import re

OPEN_LINES = 24
"""Lines that the cursor can still go up to."""

_CONTROL = re.compile(r"[\r\b]|\x1b\[\d*[AK]")
_TOKEN = re.compile(r"(\r|\n|\x08|\x1b\[\d*[AK])")
_ESCAPE = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")
_CELL = re.compile(rf"(?:{_ESCAPE.pattern})*[^\x1b]|(?:{_ESCAPE.pattern})+|\x1b", re.DOTALL)


class Folded:
    """The text of one stream between two outputs of another kind."""

    __slots__ = ("_begins", "_col", "_fresh", "_lines", "_row", "_settled", "size")

    def __init__(self) -> None:
        self.size = 0
        """Characters, near enough."""
        self._settled: list[str] = []
        self._lines = [""]
        self._fresh: list[str] = []
        self._row = self._col = 0
        self._begins = ""
        """A carriage return at the very beginning stays: it belongs to what the stream wrote before."""

    def add(self, text: str) -> None:
        """Text as it was written."""
        if _is_plain(text) and self._at_end():
            self._fresh.append(text)
            self.size += len(text)
            return
        self._open()
        if text.startswith("\r") and not self.size and not text.startswith("\r\n"):
            self._begins = "\r"
        for token in _TOKEN.split(text.replace("\r\n", "\n")):
            if token:
                self._take(token)
        self._settle()

    @classmethod
    def whole(cls, lines: str) -> Folded:
        """Complete lines that are folded already."""
        made = cls()
        made._settled.append(lines)
        made.size = len(lines)
        return made

    def text(self) -> str:
        """What it comes to; written anew, it leaves the cursor where it was."""
        self._open()
        self._settle()
        lines = self._begins + "".join(self._settled) + "\n".join(self._lines)
        if self._at_end():
            return lines
        line = self._lines[self._row]
        up = "\x1b[A" * (len(self._lines) - 1 - self._row)
        cells = _cells(line)[: self._col]
        return f"{lines}{up}\r{''.join(cells)}{' ' * (self._col - len(cells))}"

    def split(self) -> str:
        """Take out the lines that are complete; a line without an end is taken as it is where it is all there is."""
        self._open()
        self._settle(0 if self._row == len(self._lines) - 1 else OPEN_LINES)
        taken = "".join(self._settled)
        self._settled.clear()
        if not taken and len(self._lines) == 1:
            taken, self._lines, self._col = self._lines[0], [""], 0
        if taken:
            taken, self._begins = self._begins + taken, ""
        self.size = sum(len(line) + 1 for line in self._lines)
        return taken

    @property
    def open_width(self) -> int:
        """Places that the last line takes, where it has not ended."""
        self._open()
        return width(self._lines[-1]) if self._row == len(self._lines) - 1 else 0

    def _at_end(self) -> bool:
        return bool(self._fresh) or (self._row == len(self._lines) - 1 and self._col == width(self._lines[-1]))

    def _open(self) -> None:
        if not self._fresh:
            return
        older, *lines = (self._lines.pop() + "".join(self._fresh)).rsplit("\n", OPEN_LINES)
        self._fresh.clear()
        if len(lines) == OPEN_LINES:
            self._settled += [line + "\n" for line in (*self._lines, older)]
            self._lines = lines
        else:
            self._lines += [older, *lines]
        self._row, self._col = len(self._lines) - 1, width(self._lines[-1])

    def _settle(self, keep: int = OPEN_LINES) -> None:
        over = max(len(self._lines) - 1 - keep, 0)
        if over:
            self._settled.append("\n".join(self._lines[:over]) + "\n")
            del self._lines[:over]
            self._row = max(self._row - over, 0)

    def _take(self, token: str) -> None:
        line = self._lines[self._row]
        if token == "\r":
            self._col = 0
        elif token == "\b":
            self._col = max(self._col - 1, 0)
        elif token == "\n":
            self._row, self._col = self._row + 1, 0
            if self._row == len(self._lines):
                self._lines.append("")
                self.size += 1
        elif token.startswith("\x1b[") and token.endswith("A") and _CONTROL.fullmatch(token):
            self._row = max(self._row - int(token[2:-1] or 1), 0)
        elif token.startswith("\x1b[") and token.endswith("K") and _CONTROL.fullmatch(token):
            self._set(erased(line, self._col, token[2:-1]))
        else:
            self._set(overwritten(line, self._col, token))
            self._col += width(token)

    def _set(self, line: str) -> None:
        self.size += len(line) - len(self._lines[self._row])
        self._lines[self._row] = line


def _is_plain(text: str) -> bool:
    return not ("\r" in text or "\b" in text or ("\x1b" in text and _CONTROL.search(text)))


def folded(text: str) -> str:
    """`text` as a terminal would show it in the end."""
    whole = Folded()
    whole.add(text)
    return whole.text()


def width(text: str) -> int:
    """Places that `text` takes; colours take none."""
    return len(_ESCAPE.sub("", text)) if "\x1b" in text else len(text)


def overwritten(line: str, column: int, text: str) -> str:
    """`line` after `text` was written into it at `column`."""
    if column == 0 and width(text) >= width(line):
        return text
    if "\x1b" not in line and "\x1b" not in text:
        return line[:column].ljust(column) + text + line[column + len(text) :]
    cells, new = _cells(line), _cells(text)
    cells += [" "] * (column - len(cells))
    if not width(text):
        return "".join([*cells[:column], text, *cells[column:]])
    return "".join([*cells[:column], *new, *cells[column + len(new) :]])


def erased(line: str, column: int, how: str) -> str:
    """`line` after a part of it was cleared: from `column` on (how 0), up to it (1), or all of it (2)."""
    cells = _cells(line)
    if how == "2":
        return ""
    if how == "1":
        return "".join([" "] * min(column + 1, len(cells)) + cells[column + 1 :])
    return "".join(cells[:column])


def _cells(line: str) -> list[str]:
    """One string for each place, with the colours that begin there; those after the last place belong to it."""
    if "\x1b" not in line:
        return list(line)
    cells: list[str] = []
    for cell in _CELL.findall(line):
        if cells and _ESCAPE.match(cell) and not width(cell):
            cells[-1] += cell
        else:
            cells.append(cell)
    return cells
