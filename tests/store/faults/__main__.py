"""`python -m tests.store.faults`: rounds of faults, and what was wrong after them."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.store.faults.run import rounds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.store.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = rounds(Path(folder), chosen.rounds, chosen.seed)
    print(f"{found.faults} calls failed in {chosen.rounds} rounds, {time.monotonic() - began:.0f} s: {found.failed} commits failed, ", end="")
    print(f"{found.saved} were saved, of those {found.after} after the fault had ended")
    for line in found.wrong[:20]:
        print(f"  {line}")
    print(f"{len(found.wrong)} things wrong")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
