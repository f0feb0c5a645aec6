"""What errors keep: the frames of their tracebacks, with all that was in their variables.

In a notebook the last error is held by `sys.last_*`, by IPython's `InteractiveTB.tb` and by the result of the cell; its
causes hold theirs, and an error that user code has put by (`errors.append(error)`) holds its own. A frame that is over
can be cleared, whoever holds it: `%tb` and printed tracebacks go on working, only its variables are gone for a debugger.
"""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Iterable
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType, TracebackType
from typing import Any

from colab_guard.memory.recognise import links

FRAMES = {GeneratorType: "gi_frame", CoroutineType: "cr_frame", AsyncGeneratorType: "ag_frame"}
HELD_BY_FRAME = 4
"""References to a copy of variables that only its frame holds, as `_drop_copy` counts: and its own three."""
WAITS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def clear_exceptions(shell: Any = None, *, everywhere: bool = False) -> None:
    """Drop what the frames of the last errors hold; `everywhere`: of every error that is still there, whoever holds it."""
    traces = [getattr(sys, "last_traceback", None), getattr(getattr(shell, "InteractiveTB", None), "tb", None)]
    errors = [getattr(sys, "last_value", None), getattr(sys, "last_exc", None)]
    result = getattr(shell, "last_execution_result", None)
    errors += [getattr(result, "error_in_exec", None), getattr(result, "error_before_exec", None)]
    if everywhere:
        # asked by type: `isinstance` would ask proxies for their class
        errors += [thing for thing in gc.get_objects() if issubclass(type(thing), BaseException)]
    traces += [link.__traceback__ for link in links(*errors)]
    clear_frames(traces)


def clear_frames(traces: Iterable[TracebackType | None]) -> None:
    """Clear the frames of tracebacks that are over; those that run, and generators that somebody goes on with, stay."""
    frames: dict[int, FrameType] = {}
    for trace in traces:
        while trace is not None:
            frames[id(trace.tb_frame)] = trace.tb_frame
            trace = trace.tb_next
    waiting = _waiting() if any(frame.f_code.co_flags & WAITS for frame in frames.values()) else set()
    unseen = gc.get_freeze_count() > 0  # what was frozen is not listed: any generator may wait
    for frame in frames.values():
        if id(frame) in waiting or (unseen and frame.f_code.co_flags & WAITS):
            continue  # clearing it would end a generator that somebody goes on with
        try:
            frame.clear()
        except RuntimeError:
            continue  # it still runs, and keeps what it needs
        _drop_copy(frame)


def _drop_copy(frame: FrameType) -> None:
    """Before Python 3.13 a look at a frame's variables has left a copy of them with it: a second look empties that.

    `locals()` gives this very copy: where somebody has kept it, it stays as it is.
    """
    if sys.version_info >= (3, 13):
        return
    for copy in gc.get_referents(frame):
        if type(copy) is dict and copy is not frame.f_globals and copy is not frame.f_builtins and sys.getrefcount(copy) > HELD_BY_FRAME:
            return
    _ = frame.f_locals


def _waiting() -> set[int]:
    """Frames, by id, of generators and coroutines that are not over."""
    found = set()
    for thing in gc.get_objects():
        attribute = FRAMES.get(type(thing))
        frame = getattr(thing, attribute) if attribute is not None else None
        if frame is not None:
            found.add(id(frame))
    return found
