"""Two processes with different hash seeds, and the judgement of one program: whole, killed in the one, resumed in the other."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.programs.grammar import Program

Facts = dict[str, Any]


class Process:
    """One worker process."""

    def __init__(self, hash_seed: int, python: str = sys.executable) -> None:
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        command = [python, "-m", "tests.programs.worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)

    def ask(self, **request: Any) -> Facts:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker process ended ({self._process.wait()})")
        found: Facts = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


@dataclass
class Judged:
    """What became of one program: `wrong` is None where nothing was."""

    wrong: str | None = None
    details: str = ""
    points: int = 0
    kills: list[str] = field(default_factory=list)
    """Positions at which it was killed and resumed, each with its depth before it."""
    refused: list[str] = field(default_factory=list)
    skipped: bool = False


@dataclass
class Pool:
    """`first` runs whole and killed, `second` resumes."""

    first: Process
    second: Process
    file: Path

    def judge(self, program: Program, seed: int, *, kills: int = 2, bare: int | None = None, always: bool = False) -> Judged:
        """Run `program` plainly, guarded, and killed at `kills` safe points drawn by `seed` (every other time at a later one too)"""
        processes = (self.first, self.second)
        ready = [process.ask(what="begin", setup=program.setup, cell=program.cell, bare=bare) for process in processes]
        try:
            if crashed := ready[0].get("crash"):
                return Judged(skipped=True, details=crashed)
            return self._judged(seed, kills, exact=bare is None, always=always)
        finally:
            for process in processes:
                process.ask(what="end")

    def _judged(self, seed: int, kills: int, *, exact: bool, always: bool) -> Judged:
        plain = self.first.ask(what="plain")
        if plain.get("too_long") or "crash" in plain:
            return Judged(skipped=True, details=str(plain))
        whole = self.first.ask(what="guarded", always=always)
        if whole.get("too_long"):
            return Judged(skipped=True)
        points: list[str] = whole.get("points", [])
        found = Judged(points=len(points), refused=whole.get("refused", []))
        found.wrong, found.details = _differ("guarded, it is not what it is plainly", plain, whole)
        if found.wrong is not None or not points:
            return found
        dice = random.Random(seed)
        deep = [number for number, text in enumerate(points) if not text.startswith("0")]
        for turn in range(kills):
            numbers = [dice.choice(deep) if deep and turn % 3 < 2 else dice.randrange(len(points))]
            if turn % 2 and numbers[0] + 1 < len(points):  # and again, in the process that resumed it
                numbers.append(dice.randrange(numbers[0] + 1, len(points)))
            self._kill(found, whole, numbers, exact=exact)
            if found.wrong is not None:
                break
        return found

    def _kill(self, found: Judged, whole: Facts, numbers: list[int], *, exact: bool) -> None:
        """Kill at the safe points `numbers`, one after another and by turns in either process; each counts on from the last."""
        processes = (self.first, self.second)
        printed, passed, where, kept = "", 0, "", None
        for turn, number in enumerate(numbers):
            saved = f"{self.file}{turn}"
            killed = processes[turn % 2].ask(what="guarded", resume=kept, kill_at=max(number - passed, 0), save=saved)
            if "crash" in killed:
                found.wrong, found.details = f"{where}the run that was to be killed crashed", killed["crash"]
                return
            if "passed" not in killed:  # no safe point from there on could be captured: that the refusals say
                break
            printed, passed, kept = printed + killed["out"], passed + killed["passed"], saved
            where += f"killed at safe point {passed - 1} ({killed['position']}), "
            found.kills.append(killed["position"])
        if kept is None:
            return
        resumed = processes[len(numbers) % 2].ask(what="guarded", resume=kept)
        if "crash" not in resumed:
            resumed["out"] = printed + resumed["out"]
        found.wrong, found.details = _differ(f"{where}resumed, it is not what it was whole", whole, resumed)
        if found.wrong is None and exact and resumed["points"] != whole["points"][passed:]:
            found.wrong = f"{where}other safe points followed"
            found.details = f"{whole['points'][passed:]}\n{resumed['points']}"

    def close(self) -> None:
        self.first.close()
        self.second.close()


def _differ(what: str, one: Facts, other: Facts) -> tuple[str | None, str]:
    if "crash" in other:
        return f"{what}: it crashed", other["crash"]
    for part in ("error", "out"):
        if one[part] != other[part]:
            return f"{what}: {part}", f"- {one[part]}\n+ {other[part]}"
    names = [name for name in {**one["names"], **other["names"]} if one["names"].get(name) != other["names"].get(name)]
    told = [f"{name}\n  - {one['names'].get(name)}\n  + {other['names'].get(name)}" for name in names]
    return (f"{what}: {', '.join(names)}" if names else None), "\n".join(told)


@contextlib.contextmanager
def pool(pythons: tuple[str, str] = (sys.executable, sys.executable)) -> Iterator[Pool]:
    with tempfile.TemporaryDirectory() as folder:
        processes = Pool(Process(1, pythons[0]), Process(2, pythons[1]), Path(folder) / "snapshot")
        try:
            yield processes
        finally:
            processes.close()
