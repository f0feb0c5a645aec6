"""What runs beside the cell while a snapshot is taken, and is in none: other coroutines of its event loop, threads."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Mapping
from types import FunctionType, MethodType
from typing import Any

from colab_guard import state
from colab_guard.errors import SnapshotRefused


def refuse_tasks() -> None:
    """Raise SnapshotRefused while coroutines run beside the cell's own on its event loop: they would not come back."""
    try:
        others = asyncio.all_tasks() - {asyncio.current_task()}
    except RuntimeError:  # no loop runs in this thread
        return
    if others:
        names = sorted({getattr(task.get_coro(), "__name__", "?") for task in others})
        raise SnapshotRefused(f"{names[0]}() is under way beside the cell, as a task of its own ({len(others)} in all)")


def name_threads(captured: state.Captured, namespace: Mapping[str, Any]) -> None:
    """Note with `captured` the threads that run functions of the notebook: after a loss they do not run."""
    for thread in threading.enumerate():
        target = getattr(thread, "_target", None)
        if isinstance(target, functools.partial):
            target = target.func
        if isinstance(target, MethodType):
            target = target.__func__
        if thread is not threading.current_thread() and isinstance(target, FunctionType) and target.__globals__ is namespace:
            why = "a thread in flight is in no snapshot; after a loss it does not run"
            captured.placeholders.append(state.Placeholder(f"the thread of {target.__name__}()", "threading.Thread", why))
