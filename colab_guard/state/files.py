"""Reducers for open files, csv writers and progress bars: they come back where they were.

A file is flushed and on the disk before its snapshot is. Brought back, one open for writing is cut to the length that
it had then: what was written later is written again, so lines are neither missing nor doubled. It is never opened in a
way that empties it.
"""

from __future__ import annotations

import bisect
import csv
import gc
import io
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from colab_guard.errors import CannotResume
from colab_guard.state import streams
from colab_guard.state.things import ATOM_TYPES, CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

LOOKED_AT = 65_536
"""Characters at a file's start in which its line ends are looked for."""
DIALECT = (
    "delimiter",
    "doublequote",
    "escapechar",
    "lineterminator",
    "quotechar",
    "quoting",
    "skipinitialspace",
    "strict",
)
BAR_SETTINGS = ("unit", "unit_scale", "unit_divisor", "smoothing", "mininterval", "maxinterval", "bar_format", "ncols", "ascii", "colour")
"""Settings of a bar that are attributes under the same name."""


def reduce_file(pickler: GraphPickler, file: Any) -> Any:
    """An open file by path, mode and position."""
    below = getattr(file, "buffer", None)
    if below is not None and not isinstance(below, (io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO)):
        raise CannotKeep(f"a text file over a {type(below).__name__} cannot be kept")
    name = getattr(file, "name", None)
    if isinstance(name, int) and file.closed:  # an end of a pipe
        return rebuild_closed_file, (name, _mode(file))
    if not isinstance(name, (str, os.PathLike)) or str(name).startswith("<"):
        return streams.reduce_process_stream(file)
    mode = _mode(file)
    if file.closed or pickler.trial:
        return rebuild_closed_file, (name, mode)
    path = _path(file, name)
    settings = {"encoding": file.encoding, "errors": file.errors} if hasattr(file, "encoding") else {}
    if not file.writable():
        position = _position(file)
        if hasattr(file, "encoding"):
            settings |= _newline(file, position)
        return rebuild_file, (path, mode, position, None, settings, name)
    file.flush()
    os.fsync(file.fileno())
    return rebuild_file, (path, mode, file.tell(), os.fstat(file.fileno()).st_size, settings, name)


def _path(file: Any, name: str | os.PathLike[str]) -> str:
    """Where the file is; the folder that its name was relative to may be the working folder no more."""
    try:
        path = os.readlink(f"/proc/self/fd/{file.fileno()}")
    except OSError:
        return os.path.abspath(name)
    return path if os.path.exists(path) else os.path.abspath(name)


def _position(file: Any) -> int:
    """Where reading goes on. `for line in file` forbids `tell`: then it is what is left to read that tells."""
    try:
        return int(file.tell())
    except OSError:
        rest = file.read()
    with open(file.name, encoding=file.encoding, errors=file.errors, newline="") as again:
        text = again.read()
    start = len(text) - len(rest)
    if not text.endswith(rest):  # line ends were translated, and are shorter here than there
        start = bisect.bisect_left(range(len(text)), -len(rest), key=lambda at: -len(_translated(text[at:])))
    position = len(text[:start].encode(file.encoding, file.errors))
    file.seek(position)
    if _translated(file.read()) != _translated(rest):
        raise CannotKeep("the position of a text file that is iterated over cannot be told; use readline()")
    file.seek(position)
    return position


def _translated(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _newline(file: Any, position: int) -> dict[str, str]:
    """The setting that leaves line ends as they are, where the file shows that it was opened so."""
    file.seek(0)
    untouched = "\r" in file.read(LOOKED_AT)
    file.seek(position)
    return {"newline": ""} if untouched else {}


def _mode(file: Any) -> str:
    mode = str(getattr(file, "mode", "r"))
    return mode if hasattr(file, "encoding") or "b" in mode else mode + "b"


def rebuild_file(
    path: str, mode: str, position: int, length: int | None, settings: dict[str, Any], name: str | os.PathLike[str] | None = None
) -> Any:
    try:
        if length is not None and os.path.getsize(path) < length:
            raise CannotResume(f"the file {path} is shorter than the {length} bytes that the snapshot knows of")
        if length is not None:
            os.truncate(path, length)
        file = open(path, mode, **settings, opener=_open_as_it_is)  # noqa: SIM115
    except OSError as error:
        raise CannotResume(f"the snapshot had the file {path} open, which cannot be opened here: {error}") from error
    file.seek(position)
    _call(file, path if name is None else name)
    return file


def _open_as_it_is(path: str, flags: int) -> int:
    """What the modes "w" and "x" ask for, without emptying the file or asking that there be none."""
    return os.open(path, flags & ~(os.O_TRUNC | os.O_EXCL | os.O_CREAT), 0o666)


def rebuild_closed_file(name: str | os.PathLike[str] | int, mode: str) -> Any:
    file = open(os.devnull, mode, opener=_open_as_it_is)  # noqa: SIM115
    _call(file, name)
    file.close()
    return file


def _call(file: Any, name: str | os.PathLike[str] | int) -> None:
    """Let `file` have the name (or number) under which it had been opened."""
    raw = getattr(file, "buffer", file)
    getattr(raw, "raw", raw).name = name


def reduce_csv_writer(pickler: GraphPickler, writer: Any) -> Any:
    write = next((part for part in gc.get_referents(writer) if getattr(part, "__name__", "") == "write"), None)
    file = getattr(write, "__self__", None)
    if file is None:
        return NotImplemented
    return rebuild_csv_writer, (file, {name: getattr(writer.dialect, name) for name in DIALECT})


def rebuild_csv_writer(file: Any, dialect: dict[str, Any]) -> Any:
    return csv.writer(file, **dialect)


def reduce_csv_reader(pickler: GraphPickler, reader: Any) -> Any:
    """A reader between two rows: what it reads from, its dialect, and its count of lines."""
    dialect = reader.dialect
    source = next((part for part in gc.get_referents(reader) if hasattr(part, "__next__")), None)
    if isinstance(source, _CountedLines):
        source = source.source
    if source is None:
        return NotImplemented
    return rebuild_csv_reader, (source, {name: getattr(dialect, name) for name in DIALECT}, reader.line_num)


def rebuild_csv_reader(source: Any, dialect: dict[str, Any], line_num: int) -> Any:
    reader = csv.reader(_CountedLines(source, line_num) if line_num else source, **dialect)
    for _ in range(line_num):
        next(reader)
    return reader


class _CountedLines:
    """Gives `count` empty lines first: a reader's count of lines can't be set."""

    def __init__(self, source: Any, count: int) -> None:
        self.source = source
        self.count = count

    def __iter__(self) -> _CountedLines:
        return self

    def __next__(self) -> str:
        if self.count:
            self.count -= 1
            return ""
        return next(self.source)  # type: ignore[no-any-return]


def reduce_bar(pickler: GraphPickler, bar: Any) -> Any:
    """A tqdm bar by its settings, count and time so far; the iterable below it travels too.

    One that was disabled from the start has few of a bar's attributes. One that was closed has them all, and is disabled.
    """
    held = vars(bar)
    settings = {name: held[name] for name in ("total", "leave", *BAR_SETTINGS) if name in held}
    settings |= {"initial": bar.n, "disable": bar.disable, "desc": (held.get("desc") or "").removesuffix(": ") or None}
    file = getattr(held.get("fp"), "_wrapped", None)
    if not bar.disable and file is not None and file is not sys.stderr:
        settings["file"] = file
    state = {name: held[name] for name in ("postfix", "iterable") if name in held}
    if bar.disable and "desc" in held:
        state["closed"] = {name: value for name, value in held.items() if type(value) in ATOM_TYPES or name.startswith("_ema_")}
    if "start_t" in held:
        state["elapsed"] = bar._time() - bar.start_t
    return rebuild_bar, (type(bar), settings), state, None, None, set_bar


def rebuild_bar(cls: Any, settings: dict[str, Any]) -> Any:
    return cls(iterable=None, **settings)


def set_bar(bar: Any, state: dict[str, Any]) -> None:
    closed = state.pop("closed", None)
    if closed is not None:
        vars(bar).update(closed, _time=time.time)
    elapsed = state.pop("elapsed", None)
    if elapsed is not None and hasattr(bar, "start_t"):
        bar.start_t = bar._time() - elapsed
    vars(bar).update(state)
