"""`python -m tests.programs --count 2000 --seed 1`: run random programs, and print what became of them."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.programs.pool import pool
from tests.programs.trial import Report, try_programs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.programs")
    parser.add_argument("--count", type=int, default=200, help="programs to run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=2, help="safe points at which each is killed")
    parser.add_argument("--shrink", type=float, default=40.0, metavar="SECONDS", help="time for making a failing program small")
    parser.add_argument("--most", type=int, default=10, help="stop after so many failures")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs the programs")
    chosen = parser.parse_args()
    began = time.monotonic()
    with pool((chosen.python, chosen.python)) as processes:
        report = try_programs(
            processes, chosen.count, chosen.seed, kills=chosen.kills, shrink_s=chosen.shrink, most_failures=chosen.most, say=print
        )
    show(report, time.monotonic() - began)
    return 1 if report.failures else 0


def show(report: Report, took_s: float) -> None:
    deep = sum(count for depth, count in report.depths.items() if depth)
    print(f"seed {report.seed}: {report.ran} programs in {took_s:.0f} s, {report.skipped} more skipped as too long")
    print(f"{report.points} safe points; {sum(report.depths.values())} kills and resumes, {deep} of them at depth > 0")
    print("depths: " + ", ".join(f"{depth}: {count}" for depth, count in sorted(report.depths.items())))
    print(f"{report.with_refusals} programs with refused safe points, {report.never} that never could be captured at a kill")
    for reason, count in Counter(report.refusals).most_common(12):
        print(f"  {count:6} {reason}")
    print(f"{len(report.failures)} failures")
    for failure in report.failures:
        print(f"\n=== {failure.wrong}\n{failure.details}\n{failure.program}")


if __name__ == "__main__":
    sys.exit(main())
