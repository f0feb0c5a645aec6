"""The black box: a small file for each kernel that says what it did last, and in the end how that kernel came to its end.

The memory guard's sentinel process writes it, a few times a minute and once when the kernel has ended; whoever comes next
reads it. It is JSON of some kB, private to the user, and holds numbers and the words of events, from which secrets have
been taken out. Standard library only, since that is all the sentinel has; and loading the extension reads it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colab_guard.hosts import gauges

FOLDER = ".kernels"
"""Under the home folder; no NAME of guarded work begins with a dot."""
FORMAT = 1
ENTRIES = frozenset({"boot", "pid", "started", "notebook", "written", "work", "at", "limit", "kills", "end", "series"})
KEPT = 8
LONGEST = 512 * 1024
NOT_FOR_MEMORY = "not by the system for memory"
LIKE_MEMORY = "which is also what a full memory looks like"
TOLD_FOR_S = 7 * 86_400.0
SINCE_KILL_S = 5.0
"""A kill for memory that was counted this long before a kernel's end, or less, was that kernel's."""


def path_for(home: Path, pid: int) -> Path:
    """Where the black box of the kernel `pid` lies."""
    return home / FOLDER / f"{pid}-{gauges.started(pid) or 0}.json"


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Put `record` in the place of what was there, whole or not at all."""
    os.makedirs(path.parent, mode=0o700, exist_ok=True)
    aside = path.with_name(f".{path.name}.tmp")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(aside)  # of a sentinel that was killed while it wrote
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(record, file)
    os.replace(aside, path)


def keep_newest(folder: Path) -> None:
    """Let the oldest boxes go."""
    for path in _newest_first(folder)[KEPT:]:
        path.unlink(missing_ok=True)


def _newest_first(folder: Path) -> list[Path]:
    found = []
    with contextlib.suppress(FileNotFoundError):  # no folder yet; or a box that another sentinel lets go
        for entry in os.scandir(folder):
            if entry.name.endswith(".json") and entry.name[0] != ".":
                found.append((entry.stat().st_mtime, Path(entry.path)))
    return [path for _, path in sorted(found, reverse=True)]


def last_kernel(home: Path, notebook: str = "", *, now: float | None = None) -> str:
    """What became of the kernel before, in a line or two; "" where it ended as it should, or nothing is known.

    Boxes of other notebooks and of kernels that still run are passed by. Reads only.
    """
    found = newest(home, notebook)
    return words(found, time.time() if now is None else now) if found is not None else ""


def of(home: Path, pid: int) -> dict[str, Any] | None:
    """The newest box of a process of that number; None where it has none."""
    return next((record for path in _newest_first(home / FOLDER) if path.name.startswith(f"{pid}-") and (record := read(path))), None)


def newest(home: Path, notebook: str = "") -> dict[str, Any] | None:
    """The newest box of a kernel that does not run any more."""
    for path in _newest_first(home / FOLDER):
        record = read(path)
        if record is None or (notebook and record["notebook"] and record["notebook"] != notebook):
            continue
        if not _still_runs(record):
            return record
    return None


def read(path: Path) -> dict[str, Any] | None:
    """A box; None for what is none, or of another format."""
    try:
        with open(path, encoding="utf-8") as file:
            record = json.loads(file.read(LONGEST))
    except (OSError, ValueError):
        return None
    fits = isinstance(record, dict) and record.get("format") == FORMAT and record.keys() >= ENTRIES
    return record if fits else None


def _still_runs(record: Mapping[str, Any]) -> bool:
    here = record["boot"] == gauges.boot_id()
    return record["end"] is None and here and gauges.started(int(record["pid"])) == record["started"]


def how_it_ended(record: Mapping[str, Any]) -> tuple[str, int]:
    """`("clean" | "memory" | "signal" | "status" | "machine" | "unknown", number)`, from what the box and the machine tell."""
    end = record["end"]
    if end is not None:
        return str(end["how"]), int(end.get("number") or 0)
    if record["boot"] != gauges.boot_id():
        return "machine", 0
    # its sentinel was killed with it
    killed = gauges.grew(record["kills"], gauges.counted(record["kills"]))
    return ("memory", 0) if killed else ("unknown", 0)


def words(record: Mapping[str, Any], now: float) -> str:
    """One line for how it ended and what was known then, and one for what it did."""
    how, number = how_it_ended(record)
    at = float((record["end"] or {}).get("at") or record["written"])
    if how == "clean" or now - at > TOLD_FOR_S:
        return ""
    ended_by_somebody = how in ("machine", "unknown") or (how == "signal" and number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP))
    if not record["work"] and ended_by_somebody:
        return ""  # a restart, of which nothing guarded was lost
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    first = f"The last kernel here {_how(how, number, bool(record['kills']))} ({when}; {_memory(record)})."
    second = doing(record)
    return _plain(first) + (f"\n{second}" if second else "")


def _how(how: str, number: int, counted: bool) -> str:
    if how == "memory":
        return "was killed by the system: out of memory"
    if how == "signal":
        hint = f", {NOT_FOR_MEMORY if counted else LIKE_MEMORY}" if number == signal.SIGKILL else ""
        return f"was killed by {_signal_name(number)}{hint}"
    if how == "status":
        return f"ended by itself with status {number}"
    if how == "machine":
        return "was lost with its machine, which has started anew since, or is another one"
    return "ended without a word: it was killed, or it crashed"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _memory(record: Mapping[str, Any]) -> str:
    if not record["series"]:
        return "memory not known"
    _, used, own, *gpu = record["series"][-1]
    limit = record["limit"]
    told = f"RAM {_gib(used)} of {_gib(limit)} GiB used, {_gib(own)} by the kernel"
    return f"{told}, GPU {_gib(gpu[0])} GiB reserved" if gpu and gpu[0] else told


def doing(record: Mapping[str, Any]) -> str:
    """What it was at, in one line; "" where no guarded work ran."""
    at, work = record["at"], record["work"]
    if not work:
        return ""
    where = [str(at[key]) for key in ("unit", "step") if at.get(key)]
    saved = f"saved: {at['saved']}" if at.get("saved") else "nothing of it was saved"
    return _plain(f"It was at work on {work}{': ' + ', '.join(where) if where else ''}; {saved}.")


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f}"


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)
