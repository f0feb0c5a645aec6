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
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": "1"}
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

    def judge(self, program: Program, seed: int, *, kills: int = 2, bare: int | None = None, always: bool = False, at: int | None = None) -> Judged:
        """Run `program` plainly, guarded, and killed at `kills` safe points drawn by `seed`, or at `at`."""
        texts = {"setup": program.setup, "cell": program.cell, "bare": bare}
        plain = self.first.ask(what="plain", **texts)
        if plain.get("too_long") or "crash" in plain:
            return Judged(skipped=True, details=str(plain))
        whole = self.first.ask(what="guarded", always=always, **texts)
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
            number = at if at is not None else dice.choice(deep) if deep and turn % 3 < 2 else dice.randrange(len(points))
            self._kill(found, texts, whole, number, exact=bare is None)
            if found.wrong is not None:
                break
        return found

    def _kill(self, found: Judged, texts: Facts, whole: Facts, number: int, *, exact: bool) -> None:
        killed = self.first.ask(what="guarded", kill_at=number, path=str(self.file), **texts)
        if "passed" not in killed:
            if "crash" in killed:
                found.wrong, found.details = "the killed run crashed", killed["crash"]
            return  # no safe point from there on could be captured: that the refusals say
        resumed = self.second.ask(what="guarded", resume=True, path=str(self.file), **texts)
        found.kills.append(killed["position"])
        where = f"killed at safe point {killed['passed'] - 1} ({killed['position']})"
        if "crash" not in resumed:
            resumed["out"] = killed["out"] + resumed["out"]
        found.wrong, found.details = _differ(f"{where} and resumed, it is not what it was whole", whole, resumed)
        if found.wrong is None and exact and resumed["points"] != whole["points"][killed["passed"] :]:
            found.wrong = f"{where}, other safe points followed"
            found.details = f"{whole['points'][killed['passed']:]}\n{resumed['points']}"

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
