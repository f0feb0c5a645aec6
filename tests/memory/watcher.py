"""Does the watcher stop a growing loop in time, each time? Real kernels, a limit of 1 GiB.

    python -m tests.memory.watcher --tries 20
    python -m tests.memory.watcher --tries 20 --group      under a real memory cgroup of that limit
    python -m tests.memory.watcher --python PATH           kernels of another stack
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.memory.growing import QUICK_S, one

PAUSES = (QUICK_S, 0.002, 0.01)
"""Seconds between two MiB."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--group", action="store_true")
    options = parser.parse_args()
    stopped = []
    for number in range(options.tries):
        with tempfile.TemporaryDirectory() as folder:
            found = one(Path(folder), python=options.python, pause=PAUSES[number % len(PAUSES)], in_group=options.group)
        stopped.append(found)
        print(
            f"{number + 1:>3}  {'stopped' if found.stopped else 'NOT STOPPED'} at {found.share:.3f} of the limit after {found.step} steps; "
            f"saved: {found.saved}, {found.lost_s:.2f} s before (due every {found.interval_s:.2f} s); {', '.join(found.levels)}; "
            f"{found.seconds:.0f} s",
            flush=True,
        )
    count = sum(found.stopped for found in stopped)
    print(f"{count} of {len(stopped)} stopped before 0.95; highest {max(found.share for found in stopped):.3f}")
    return 0 if count == len(stopped) else 1


if __name__ == "__main__":
    sys.exit(main())
