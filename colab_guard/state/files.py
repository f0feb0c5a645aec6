"""Reducers for open files, csv writers and progress bars: they come back where they were.

A file is flushed and on the disk before its snapshot is. Brought back, one open for writing is cut to the length that
it had then: what was written later is written again, so lines are neither missing nor doubled. It is never opened in a
way that empties it.
"""

from __future__ import annotations

import csv
import gc
import os
from typing import TYPE_CHECKING, Any

from colab_guard.errors import CannotResume
from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

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


def reduce_file(pickler: GraphPickler, file: Any) -> Any:
    """An open file by path, mode and position."""
    name = getattr(file, "name", None)
    if not isinstance(name, (str, os.PathLike)) or str(name).startswith("<"):
        return NotImplemented
    path, mode = os.path.abspath(name), _mode(file)
    if file.closed or pickler.trial:
        return rebuild_closed_file, (path, mode)
    settings = {"encoding": file.encoding, "errors": file.errors} if hasattr(file, "encoding") else {}
    if not file.writable():
        return rebuild_file, (path, mode, _position(file), None, settings)
    file.flush()
    os.fsync(file.fileno())
    return rebuild_file, (path, mode, file.tell(), os.fstat(file.fileno()).st_size, settings)


def _position(file: Any) -> int:
    """Where reading goes on. `for line in file` forbids `tell`: then it is what is left to read that tells."""
    try:
        return int(file.tell())
    except OSError:
        rest = file.read().encode(file.encoding, file.errors)
    position = os.fstat(file.fileno()).st_size - len(rest)
    with open(file.name, "rb") as again:
        again.seek(position)
        same = again.read() == rest
    file.seek(position)
    if not same:
        raise CannotKeep("the position of a text file that is iterated over cannot be told; use readline()")
    return int(position)


def _mode(file: Any) -> str:
    mode = str(getattr(file, "mode", "r"))
    return mode if hasattr(file, "encoding") or "b" in mode else mode + "b"


def rebuild_file(path: str, mode: str, position: int, length: int | None, settings: dict[str, Any]) -> Any:
    binary = "b" if "b" in mode else ""
    try:
        if length is not None and os.path.getsize(path) < length:
            raise CannotResume(f"the file {path} is shorter than the {length} bytes that the snapshot knows of")
        if length is not None:
            os.truncate(path, length)
        again = "a" if "a" in mode else "r"
        plus = "+" if length is not None and (again == "r" or "+" in mode) else ""
        file = open(path, again + binary + plus, **settings)  # noqa: SIM115
    except OSError as error:
        raise CannotResume(f"the snapshot had the file {path} open, which cannot be opened here: {error}") from error
    file.seek(position)
    if not binary:
        file.mode = mode  # type: ignore[misc]
    return file


def rebuild_closed_file(path: str, mode: str) -> Any:
    binary = "b" if "b" in mode else ""
    file = open(path if os.path.isfile(path) else os.devnull, "r" + binary)  # noqa: SIM115
    file.close()
    return file


def reduce_csv_writer(pickler: GraphPickler, writer: Any) -> Any:
    write = next((part for part in gc.get_referents(writer) if getattr(part, "__name__", "") == "write"), None)
    file = getattr(write, "__self__", None)
    if file is None:
        return NotImplemented
    return rebuild_csv_writer, (file, {name: getattr(writer.dialect, name) for name in DIALECT})


def rebuild_csv_writer(file: Any, dialect: dict[str, Any]) -> Any:
    return csv.writer(file, **dialect)


def reduce_bar(pickler: GraphPickler, bar: Any) -> Any:
    """A tqdm bar by its settings and count; the iterable below it travels too."""
    settings = {
        "total": bar.total,
        "initial": bar.n,
        "desc": (getattr(bar, "desc", None) or "").removesuffix(": ") or None,
        "leave": bar.leave,
        "unit": bar.unit,
        "disable": bar.disable,
    }
    return rebuild_bar, (type(bar), settings), {"iterable": bar.iterable}, None, None, set_bar


def rebuild_bar(cls: Any, settings: dict[str, Any]) -> Any:
    return cls(iterable=None, **settings)


def set_bar(bar: Any, state: dict[str, Any]) -> None:
    bar.iterable = state["iterable"]
