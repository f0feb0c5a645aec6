"""The matrix's part in a kernel: `tick()`, the list of events, the moments of killing, and the digest at the end.

Nothing of it is a name of the notebook or part of a snapshot: `tick` is a builtin, and what is counted lies in a file that is
mapped into memory, so that it outlives the kernel at every moment. Units are numbered through all kernels of a trial; each
is noted with the time (CLOCK_MONOTONIC, one for the whole machine) at which it was done.
"""

from __future__ import annotations

import builtins
import importlib
import json
import mmap
import os
import random
import signal
import struct
import time
from pathlib import Path
from typing import Any

WORD = struct.Struct("<q")
TIME = struct.Struct("<d")
MOST_UNITS = 1_000_000
SIZE = WORD.size + MOST_UNITS * TIME.size


def make_counter(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SIZE)


def read_times(path: Path) -> list[float]:
    """When each unit was done, through all kernels."""
    data = path.read_bytes()
    (count,) = WORD.unpack_from(data)
    return list(struct.unpack_from(f"<{count}d", data, WORD.size))


class Unit:
    """`tick()`: one unit is done. Kills its own process at unit `kill_at`, once a commit of this run is saved."""

    def __init__(self, path: str, unit_s: float, kill_at: int) -> None:
        file = os.open(path, os.O_RDWR)
        self._map = mmap.mmap(file, SIZE)
        os.close(file)
        self._sleep_s = unit_s
        self._kill_at = kill_at
        self._pid = os.getpid()
        self.count: int = WORD.unpack_from(self._map)[0]
        self.saved = 0

    def __call__(self) -> None:
        if os.getpid() != self._pid:
            return
        TIME.pack_into(self._map, WORD.size + self.count * TIME.size, time.monotonic())
        self.count += 1
        WORD.pack_into(self._map, 0, self.count)
        if self.count >= self._kill_at and self.saved:
            kill()
        if self._sleep_s:
            time.sleep(self._sleep_s)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (builtins, "tick")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # the signal comes before this is over


def is_deep(position: str) -> bool:
    """Whether the words of a position speak of a loop or a function, and not only of a statement of the cell."""
    return "iteration" in position or "()" in position


class Events:
    """Writes every event as one line of JSON, with the count of units; kills while a commit is being restored if asked."""

    def __init__(self, path: str, unit: Unit, restoring_s: float, *, deep: bool) -> None:
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by the kernel's end
        self._unit = unit
        self._restoring_s = restoring_s
        self._deep = deep

    def __call__(self, event: Any, at: float) -> None:
        kind = type(event).__name__
        told = {name: getattr(event, name) for name in ("kind", "depth", "position", "reason", "what", "why", "stall_s", "write_s", "reasons", "changes") if hasattr(event, name)}
        line = {"event": kind, "count": self._unit.count, "at": time.monotonic(), "pid": os.getpid(), **told}
        self._file.write(json.dumps(line, default=str) + "\n")
        self._file.flush()
        if kind == "SnapshotSaved" and (not self._deep or is_deep(event.position)):
            self._unit.saved += 1
        if kind == "Resumed" and self._restoring_s >= 0:
            time.sleep(self._restoring_s)
            kill()


def begin(
    root: str,
    unit_s: float,
    needs: tuple[str, ...],
    *,
    guarded: bool,
    deep: bool,
    kill_at: int = MOST_UNITS,
    restoring_s: float = -1.0,
) -> None:
    """Prepare this kernel. `kill_at`: the unit to be killed at; `restoring_s`: killed so long after a resume began.

    `deep`: a commit must be inside a loop or a function to count before a kill.
    """
    random.seed(0)
    if "numpy" in needs:
        importlib.import_module("numpy").random.seed(0)
    if "torch" in needs:
        importlib.import_module("torch").manual_seed(0)
    unit = Unit(f"{root}/units.bin", unit_s, kill_at)
    builtins.tick = unit  # type: ignore[attr-defined]
    if guarded:
        from IPython import get_ipython

        from colab_guard.session import current

        get_ipython().run_line_magic("load_ext", "colab_guard")  # type: ignore[no-untyped-call]
        current().bus.subscribe(Events(f"{root}/events.jsonl", unit, restoring_s, deep=deep))


def end(root: str) -> None:
    """Write down what is there now."""
    from IPython import get_ipython

    from tests.matrix.digest import namespace_digest

    shell = get_ipython()  # type: ignore[no-untyped-call]
    Path(f"{root}/digest.json").write_text(json.dumps(namespace_digest(shell.user_ns)), encoding="utf-8")
