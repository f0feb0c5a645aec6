"""The command: `python -m tests.matrix -h`."""

from __future__ import annotations

import argparse
import sys

from tests.kernels.harness import pythons
from tests.matrix.cellfile import listed
from tests.matrix.running import pairs, part, run_all, tell
from tests.matrix.table import drawn


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description="Cells killed and resumed in real kernels.")
    parser.add_argument("--stack", action="append", default=[], metavar="NAME=PYTHON", help="a Python to run on; repeatable; default: this one and those of COLAB_GUARD_TEST_PYTHONS")
    parser.add_argument("--cells", action="append", default=[], metavar="GLOB", help="cells whose names match; repeatable; default: all")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trials at a time")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="the K-th of N parts")
    parser.add_argument("--seed", type=int, default=0, help="chooses the units at which kernels are killed")
    told = parser.parse_args()
    bad = next((stack for stack in told.stack if "=" not in stack), None)
    if bad is not None:
        parser.error(f"--stack {bad}: NAME=PYTHON is needed, as in new313=/usr/bin/python3.13")
    number, _, count = told.part.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        parser.error(f"--part {told.part}: K/N is needed with K from 1 to N, as in 2/8")
    stacks = dict(stack.split("=", 1) for stack in told.stack) or pythons()
    cells = list({cell.name: cell for glob in told.cells or ["*"] for cell in listed(glob)}.values())
    if not cells:
        parser.error(f"no cell matches {' '.join(told.cells)}")
    chosen = part(pairs(cells, stacks), int(number), int(count))
    trials = run_all(chosen, told.jobs, told.seed, tell)
    print(drawn(trials))
    if len(trials) < len(chosen):
        print(f"interrupted: {len(chosen) - len(trials)} of {len(chosen)} have not run")
        return 1
    return 0 if all(trial.holds for trial in trials) else 1


if __name__ == "__main__":
    sys.exit(main())
