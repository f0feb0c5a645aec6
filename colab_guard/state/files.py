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
BAR_SETTINGS = ("unit", "unit_scale", "unit_divisor", "smoothing", "mininterval", "maxinterval", "bar_format")
"""Settings of a bar that are attributes under the same name."""


def reduce_file(pickler: GraphPickler, file: Any) -> Any:
    """An open file by path, mode and position."""
    name = getattr(file, "name", None)
    if not isinstance(name, (str, os.PathLike)) or str(name).startswith("<"):
        return NotImplemented
    mode = _mode(file)
    if file.closed or pickler.trial:
        return rebuild_closed_file, (name, mode)
    path = _path(file, name)
    settings = {"encoding": file.encoding, "errors": file.errors} if hasattr(file, "encoding") else {}
    if not file.writable():
        return rebuild_file, (path, mode, _position(file), None, settings, name)
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


def rebuild_closed_file(name: str | os.PathLike[str], mode: str) -> Any:
    file = open(os.devnull, mode, opener=_open_as_it_is)  # noqa: SIM115
    _call(file, name)
    file.close()
    return file


def _call(file: Any, name: str | os.PathLike[str]) -> None:
    """Let `file` have the name under which it had been opened."""
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


def reduce_bar(pickler: GraphPickler, bar: Any) -> Any:
    """A tqdm bar by its settings, count and time so far; the iterable below it travels too.

    One that is disabled, or was so from the start, has few of a bar's attributes.
    """
    held = vars(bar)
    settings = {name: held[name] for name in ("total", "leave", *BAR_SETTINGS) if name in held}
    settings |= {"initial": bar.n, "disable": bar.disable, "desc": (held.get("desc") or "").removesuffix(": ") or None}
    state = {name: held[name] for name in ("postfix", "iterable") if name in held}
    if "start_t" in held:
        state["elapsed"] = bar._time() - bar.start_t
    return rebuild_bar, (type(bar), settings), state, None, None, set_bar


def rebuild_bar(cls: Any, settings: dict[str, Any]) -> Any:
    return cls(iterable=None, **settings)


def set_bar(bar: Any, state: dict[str, Any]) -> None:
    elapsed = state.pop("elapsed", None)
    if elapsed is not None and hasattr(bar, "start_t"):
        bar.start_t = bar._time() - elapsed
    vars(bar).update(state)
