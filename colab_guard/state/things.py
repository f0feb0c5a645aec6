"""Reducers for what a cell holds besides data: open files, progress bars, locks, weak references."""

from __future__ import annotations

import os
import threading
import types
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

LOCK_TYPES = (type(threading.Lock()), type(threading.RLock()))


def reduce_lock(pickler: GraphPickler, lock: Any) -> Any:
    return (threading.Lock if isinstance(lock, LOCK_TYPES[0]) else threading.RLock), ()


def reduce_weakref(pickler: GraphPickler, reference: Any) -> Any:
    return rebuild_weakref, (reference(),)


def rebuild_weakref(target: Any) -> Any:
    if target is None:
        return _dead_reference
    return weakref.ref(target)


def _dead_reference() -> None:
    return None


def reduce_file(pickler: GraphPickler, file: Any) -> Any:
    """An open file by path, mode and position; what was written is on the disk before the snapshot is."""
    if not isinstance(file.name, str) or file.name.startswith("<"):
        return NotImplemented
    mode = getattr(file, "mode", "r")
    if file.closed:
        return rebuild_closed_file, (os.path.abspath(file.name), mode)
    if file.writable():
        file.flush()
        os.fsync(file.fileno())
    position = file.tell()
    return rebuild_file, (os.path.abspath(file.name), mode, position, getattr(file, "encoding", None))


def rebuild_file(path: str, mode: str, position: int, encoding: str | None) -> Any:
    binary = "b" if "b" in mode else ""
    writing = any(letter in mode for letter in "wax+")
    file = open(path, ("r+" if writing else "r") + binary, encoding=None if binary else encoding)  # noqa: SIM115
    file.seek(position)
    if writing:
        file.truncate()
    return file


def rebuild_closed_file(path: str, mode: str) -> Any:
    file = open(os.devnull, "rb" if "b" in mode else "r")  # noqa: SIM115
    file.close()
    return file


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


def reduce_mapping_proxy(pickler: GraphPickler, proxy: Any) -> Any:
    return types.MappingProxyType, (dict(proxy),)
