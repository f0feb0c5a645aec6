"""How a run in a process of its own has ended badly, as the kernel sees it."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

OUT_OF_MEMORY = "out of memory"
NO_ROOM = re.compile(r"bad_alloc|OutOfMemory|[Oo]ut of memory|ALLOC_FAILED|[Cc]annot allocate memory|can't allocate memory")


class RunFailed(Exception):
    """The run's function has failed in its process, or the process has died. Its text is one line; `trace` is the traceback there."""

    def __init__(self, line: str, trace: str = "") -> None:
        super().__init__(line)
        self.line = line
        self.trace = trace

    def _render_traceback_(self) -> list[str]:
        return [self.trace.rstrip() or self.line]


def cause_of_death(status: int, kills: tuple[int | None, int | None], tail: Sequence[str] = ()) -> str:
    """Why a process ended that has told nothing itself, in one line.

    `status` is as of `Popen`; `kills`: the system's count of kills for memory before and after; `tail`: its last lines.
    """
    if status >= 0:
        return f"its process ended by itself, with status {status}"
    name = _name(-status)
    before, after = kills
    if status == -signal.SIGKILL:
        if before is None or after is None:
            return "its process was killed (SIGKILL); whether for want of memory, this system does not tell"
        if after > before:
            return f"{OUT_OF_MEMORY}: the system killed its process, for the memory of this machine (or of its control group) was full"
        return "its process was killed (SIGKILL), and not by the system for want of memory"
    if any(NO_ROOM.search(line) for line in tail):
        return f"{OUT_OF_MEMORY}: its process ended by {name} after an allocation had failed"
    return f"its process crashed ({name})"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
