"""Whether a safe point lies ahead of the code that runs now: asked when someone wants the cell to stop.

After every statement of the cell stands one; but a statement may take hours. So a safe point counts as being ahead where
a loop is under way that passes its own (in the cell, or in a function that can be entered again), or a library loop that
is adapted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FrameType
from typing import Any

from colab_guard.cells.frames import TRAINING_ROOM, stack
from colab_guard.cells.loops import Loop
from colab_guard.cells.points import CELL, FrameInfo
from colab_guard.cells.rewrite import loop_name
from colab_guard.errors import SnapshotRefused

ASKS = frozenset({"raw_input", "_input_request", "getpass"})
"""Functions of the kernel that wait for the user to type."""

NOT_RUNNING = "the cell's own code was not running"
NO_LOOP = "this statement is in no loop that passes a safe point"
WAITS_FOR_INPUT = "it was waiting for input"


class Ahead:
    """Looks at one run of a cell. `thread` and `coroutine` tell where its code runs, if not in the main thread."""

    def __init__(self, codes: Mapping[CodeType, FrameInfo], thread: Callable[[], int]) -> None:
        self._codes = codes
        self._thread = thread
        self._main = thread()
        self.coroutine: Any = None

    def none(self, frame: FrameType | None) -> str | None:
        """Why no safe point comes before the statement of the cell that is running ends; None where one does.

        `frame` is what the main thread runs.
        """
        if self._thread() != self._main:
            frame = sys._current_frames().get(self._thread())
        frames = list(_outwards(frame))
        if any(one.f_code.co_name in ASKS and _module(one).startswith(("ipykernel", "google.colab")) for one in frames):
            return WAITS_FOR_INPUT
        frames += _awaited(self.coroutine)
        known = [one for one in frames if one.f_code in self._codes]
        if not any(self._codes[one.f_code].id == CELL for one in known):
            return NOT_RUNNING
        if any(_module(one).startswith(TRAINING_ROOM) for one in frames) or any(map(self._passes, known)):
            return None
        return NO_LOOP

    def _passes(self, frame: FrameType) -> bool:
        """Whether `frame` is in a loop whose safe point can be used."""
        info = self._codes[frame.f_code]
        names = frame.f_globals if info.id == CELL else frame.f_locals
        for point in info.points.values():
            loop = names.get(loop_name(point.id)) if point.is_loop and point.line <= frame.f_lineno <= point.end else None
            if isinstance(loop, Loop) and loop.under_way:
                try:
                    if frame.f_back is not None or info.id == CELL:  # a coroutine that waits is called by nobody now
                        stack(frame, point, self._codes)
                except SnapshotRefused:
                    continue
                return True
        return False


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _awaited(coroutine: Any) -> list[FrameType]:
    """The frames of a coroutine that waits, and of those that it waits for."""
    found = []
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        found.append(frame)
        coroutine = coroutine.cr_await
    return found


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
