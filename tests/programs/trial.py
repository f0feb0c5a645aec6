"""Draws programs by Hypothesis, has each judged, and makes those that fail small."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tests.programs.grammar import Program, programs
from tests.programs.pool import Judged, Pool
from tests.programs.reduce import reduced

BATCH = 100
"""Programs from one Hypothesis run: it varies what it has seen, and a new run begins elsewhere."""
BARE_EVERY = 6
ALWAYS_EVERY = 5


@dataclass
class Failure:
    wrong: str
    details: str
    program: Program


@dataclass
class Report:
    """What a trial gave."""

    seed: int
    ran: int = 0
    skipped: int = 0
    points: int = 0
    never: int = 0
    with_refusals: int = 0
    depths: Counter[int] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


def try_programs(
    processes: Pool,
    count: int,
    seed: int,
    *,
    kills: int = 2,
    shrink_s: float = 40.0,
    most_failures: int = 10,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Run `count` programs. Every sixth lets short loops run bare, every fifth is captured at all of its safe points."""
    report = Report(seed)

    def one(program: Program) -> None:
        if report.ran >= count or len(report.failures) >= most_failures:
            return
        number = report.ran
        chosen = {"kills": kills, "bare": 2 if number % BARE_EVERY == BARE_EVERY - 1 else None, "always": number % ALWAYS_EVERY == 0}
        draw = random.Random(f"{seed} {number}").randrange(1 << 30)
        judged = processes.judge(program, draw, **chosen)
        if judged.skipped:
            report.skipped += 1
            say(f"skipped: {judged.details[-300:]}" if judged.details else "skipped: too long")
            return
        _count(report, judged)
        if judged.wrong is not None:
            say(f"program {number}: {judged.wrong}")
            report.failures.append(_made_small(processes, program, judged, draw, chosen, shrink_s))
            say(f"{report.failures[-1].program}\n{report.failures[-1].wrong}\n{report.failures[-1].details}")
        if report.ran % 50 == 0:
            say(f"{report.ran} programs, {sum(report.depths.values())} kills, {len(report.failures)} failures")

    batch = 0
    while report.ran < count and len(report.failures) < most_failures and batch < 3 * count // BATCH + 3:
        quiet = settings(
            max_examples=BATCH, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck)
        )
        seeded(seed * 100_003 + batch)(quiet(given(programs())(one)))()
        batch += 1
    return report


def _count(report: Report, judged: Judged) -> None:
    report.ran += 1
    report.points += judged.points
    report.never += bool(judged.points) and not judged.kills and judged.wrong is None
    report.with_refusals += bool(judged.refused)
    report.depths.update(int(kill.split()[0]) for kill in judged.kills)
    report.refusals.update(re.sub(r"\d+", "N", reason.rpartition(": ")[2]) for reason in judged.refused)


def _made_small(processes: Pool, program: Program, judged: Judged, draw: int, chosen: dict[str, object], limit_s: float) -> Failure:
    last = [judged]
    kind = _kind(judged)

    def fails(smaller: Program) -> bool:
        for turn in range(3):
            again = processes.judge(smaller, draw + turn, **chosen)  # type: ignore[arg-type]
            if again.wrong is not None and _kind(again) == kind:
                last[0] = again
                return True
        return False

    small = reduced(program, fails, limit_s)
    return Failure(last[0].wrong or "", last[0].details, small)


def _kind(judged: Judged) -> str:
    """What went wrong, without where and with which names."""
    text = (judged.wrong or "").split(", ")[-1] if judged.kills else judged.wrong or ""
    return re.sub(r"\(.*?\)|\d+", "", text).split(": ")[0] + _last_line(judged)


def _last_line(judged: Judged) -> str:
    lines = judged.details.strip().splitlines()
    return lines[-1].split(":")[0] if "crash" in (judged.wrong or "") and lines else ""
