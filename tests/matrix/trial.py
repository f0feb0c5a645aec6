"""One cell on one stack: run, killed, resumed and compared (the steps are in the package's docstring)."""

from __future__ import annotations

import hashlib
import json
import random
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kernels.harness import Machine, Output, RunningKernel
from tests.matrix import inside
from tests.matrix.cellfile import Cell

CELL_S = 180.0
BUDGET = 0.9
NAME = "cell"
NOISE_S = 0.15
"""Time that a loaded machine may hold up a safe point or the writer."""
TRIES = 3
STARTS = 3


class Broken(Exception):
    """What did not hold, in one line."""


@dataclass(slots=True)
class Trial:
    """What was found; `verdict` is "same" where all held, "passed over" where the stack lacks something."""

    cell: str
    stack: str
    verdict: str = "same"
    depth: str = ""
    kills: str = ""
    twice: str = ""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return self.verdict in ("same", "passed over")


@dataclass(slots=True)
class _Run:
    """One kernel's life within a trial."""

    died: bool
    digest: dict[str, Any]
    began: int
    ended: int
    events: list[dict[str, Any]]
    text: str


class _Place:
    """A machine for some kernels in a row: working folder, stores, counted units, events."""

    def __init__(self, cell: Cell, root: Path, python: str, seed: int) -> None:
        self.lives: list[_Run] = []
        self._cell = cell
        self.machine = Machine(root, python, started=seed)
        inside.make_counter(root / "units.bin")
        (root / "events.jsonl").touch()

    def times(self) -> list[float]:
        return inside.read_times(self.machine.root / "units.bin")

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.machine.root / "events.jsonl").read_text().splitlines()]

    def run(self, *, guarded: bool = True, kill_at: int = inside.MOST_UNITS, restoring_s: float = -1.0) -> _Run:
        """One kernel: the cells in order, and the digest where it lived so long."""
        cell, root = self._cell, self.machine.root
        began, known = len(self.times()), len(self.events())
        head = f"%%checkpointed {NAME} --every {cell.every_s}s --budget {BUDGET:.0%} {cell.options}".rstrip() + "\n" if guarded else ""
        arguments = f"{str(root)!r}, {cell.unit_s}, {cell.needs!r}, guarded={guarded}, deep={cell.inside == 'yes'}, kill_at={kill_at}, restoring_s={restoring_s}"
        steps = [
            f"__import__('tests.matrix.inside').matrix.inside.begin({arguments})",
            *cell.setup,
            head + cell.body,
            *cell.after,
            f"__import__('tests.matrix.inside').matrix.inside.end({str(root)!r})",
        ]
        text, died = self._steps(steps)
        digest = {} if died else json.loads((root / "digest.json").read_text()) | self._files()
        life = _Run(died, digest, began, len(self.times()), self.events()[known:], text)
        self.lives.append(life)
        return life

    def _steps(self, steps: list[str]) -> tuple[str, bool]:
        """Run `steps` in a new kernel: what was printed, and whether the kernel was killed."""
        text = ""
        with self._kernel() as kernel:
            for step in steps:
                done: Output = kernel.run(step, limit_s=CELL_S, look_s=0.05)
                text += done.text
                if done.error:
                    raise Broken("an error: " + _last_line(done.error))
                if done.died:
                    return text, True
        return text, False

    @contextmanager
    def _kernel(self) -> Iterator[RunningKernel]:
        """A kernel; one that a busy machine does not let come up is started again."""
        with ExitStack() as stack:
            for attempt in range(STARTS):
                try:
                    kernel = stack.enter_context(self.machine.kernel())
                    break
                except RuntimeError:
                    if attempt == STARTS - 1:
                        raise
            yield kernel

    def _files(self) -> dict[str, str]:
        work = self.machine.work
        files = sorted(path for path in work.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {f"(file) {path.relative_to(work)}": hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(cell: Cell, stack: str, python: str, seed: int = 0) -> Trial:
    """The whole of it; never raises for what the cell or the project does wrong."""
    found = Trial(cell.name, stack)
    began = time.monotonic()
    chance = random.Random(f"{seed} {cell.name} {stack}")
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        try:
            _all(cell, Path(folder), python, chance, found)
        except (Broken, TimeoutError) as error:
            found.verdict = "BROKEN"
            found.notes.insert(0, str(error).strip().replace("\n", " ⏎ ")[:1500])
        except Exception as error:
            found.verdict = "ERROR"
            found.notes.insert(0, f"{type(error).__name__}: {error}"[:1500])
    found.seconds = time.monotonic() - began
    return found


def _all(cell: Cell, root: Path, python: str, chance: random.Random, found: Trial) -> None:
    plain = _Place(cell, root / "plain", python, 0).run(guarded=False)
    whole_place = _Place(cell, root / "whole", python, 1)
    whole = whole_place.run()
    different = _difference(plain.digest, whole.digest)
    if different:
        again = _Place(cell, root / "again", python, 2).run(guarded=False)
        own = _difference(plain.digest, again.digest)
        if own:
            raise Broken(f"does not repeat itself when it runs plain: {own}")
        raise Broken(f"uninterrupted under %%checkpointed it differs from the plain run: {different}")
    total = len(whole_place.times())
    saved = [event for event in whole.events if event["event"] == "SnapshotSaved" and event["count"] < total]
    commits = [event["count"] for event in saved if cell.inside != "yes" or inside.is_deep(event["position"])]
    if not commits:
        raise Broken(f"no commit before the end, in {total} units: {_refusals(whole.events)}")
    opaque = whole.digest.get("opaque")
    if opaque:
        found.notes.append(f"not looked into: {', '.join(opaque)}")
    for attempt in range(TRIES):
        place = _Place(cell, root / f"killed{attempt}", python, 3 + 10 * attempt)
        if _killed_twice(cell, place, total, commits, chance, attempt, found):
            break
    else:
        raise Broken(f"the cell ended {TRIES} times before a commit and a kill came together ({total} units, commits at {commits[:8]})")
    last = place.run()
    different = _difference(whole.digest, last.digest)
    _judge(cell, place, total, found)
    if different:
        raise Broken(f"after resumes it differs: {different}")


def _killed_twice(
    cell: Cell, place: _Place, total: int, commits: list[int], chance: random.Random, attempt: int, found: Trial
) -> bool:
    """Kill at a random unit, while restoring, at a later random unit; whether there was time for all of it."""
    earliest = min(commits[0] + 1, total - 1)
    latest = max(earliest + 1, int(total * (0.75, 0.5, 0.3)[attempt]))
    first = chance.randrange(earliest, latest)
    if not place.run(kill_at=first).died:
        return False
    first = len(place.times())
    if not place.run(restoring_s=chance.choice((0.0, 0.0, 0.002, 0.005))).died:
        raise Broken("nothing was taken up in the kernel after the kill" + _refusals(place.events()))
    left = total - first
    second = first + chance.randrange(1, max(2, int(left * (0.8, 0.4, 0.2)[attempt])))
    if not place.run(kill_at=second).died:
        return False
    found.kills = f"{first}, restoring, {len(place.times())} of {total}"
    return True


def _judge(cell: Cell, place: _Place, total: int, found: Trial) -> None:
    """Resumed inside, and little done twice: from the events and the counted units."""
    events, times = place.events(), place.times()
    resumed = [event for event in events if event["event"] == "Resumed"]
    depths = [event["depth"] for event in resumed]
    found.depth = ",".join(map(str, depths))
    refused = [event for event in events if event["event"] == "SnapshotNotTaken"]
    for event in refused[:1]:
        found.notes.append(f"{len(refused)} refused: {event['reason']} ({event['position']})")
    twice = len(times) - total
    allowed = sum(_allowed(cell, life, times) for life in place.lives if life.died)
    found.twice = f"{twice} ≤ {allowed}" if twice <= allowed else f"{twice} > {allowed}"
    if cell.inside != "no" and len(resumed) < 3:
        raise Broken(f"of three starts after a kill {len(resumed)} took up a commit")
    if cell.inside == "yes" and max(depths, default=0) < cell.depth:
        raise Broken(f"resumed at depths {depths}, {cell.depth} was to be reached; {_refusals(events)}")
    if cell.inside == "no":
        reasons = " · ".join(str(event.get("reason") or event.get("why") or "") for event in events)
        if not cell.says or cell.says not in reasons:
            raise Broken(f"it was not told why it cannot be resumed inside: {reasons[:300]!r}")
    elif twice > allowed:
        raise Broken(f"{twice} units were done twice, an interval holds {allowed}; {_refusals(events)}")
    if any(event["event"] == "NotBitExact" for event in events):
        found.notes.append("said not to be bit-exact")


def _allowed(cell: Cell, life: _Run, times: list[float]) -> int:
    """How many units may be lost at the end of one kernel's life: those between two commits (see `Schedule`)."""
    done = times[life.began : life.ended]
    if not done:
        return 0
    saved = [event for event in life.events if event["event"] == "SnapshotSaved"]
    stall = max((event["stall_s"] for event in saved), default=0.0)
    write = max((event["write_s"] for event in saved), default=0.0)
    interval = max(cell.every_s, 3 * (stall + write), stall / BUDGET)
    # a safe point further out is waited for, and a commit that was being written is lost too
    at_risk = 1.25 * interval + stall + write + NOISE_S
    held = sum(at >= done[-1] - at_risk for at in done) + 2
    # where snapshots have been refused since the last one, which was told, all units since then are at risk
    last = max((event["count"] for event in saved), default=life.began)
    refused = any(event["event"] == "SnapshotNotTaken" and event["count"] >= last for event in life.events)
    return held + (life.ended - last if refused else 0)


def _refusals(events: list[dict[str, Any]]) -> str:
    reasons = [f"{event['event']}: {event.get('reason') or event.get('why')}" for event in events if event["event"] in ("SnapshotNotTaken", "NotKept", "CommitPassedOver")]
    return f" ({len(reasons)} said, first: {reasons[0]})" if reasons else " (nothing was refused)"


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """The first names that differ, with the place in their texts."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name) and name != "opaque"]
    # a library that only one of the runs has imported has no state to compare
    names = [name for name in names if not (name.startswith("(random)") and (name not in one or name not in other))]
    told = []
    for name in names[:3]:
        a, b = str(one.get(name, "(not there)")), str(other.get(name, "(not there)"))
        at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        told.append(f"{name}: …{a[max(0, at - 40) : at + 60]}… / …{b[max(0, at - 40) : at + 60]}…")
    return f"{len(names)} names: " + " · ".join(told) if names else ""


def _last_line(error: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", error).strip()
    return " ⏎ ".join(plain.splitlines()[-3:])
