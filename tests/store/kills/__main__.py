"""`python -m tests.store.kills`: so many real SIGKILLs, by what was being done, and what was lost."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.store.kills.child import PHASES
from tests.store.kills.life import KILLS_EACH, lives, memory_folder


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.store.kills", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=KILLS_EACH, help="kills for each store, before a new one begins")
    parser.add_argument("--folder", default=memory_folder(), help="where the stores are made")
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        tally = lives(Path(folder), chosen.count, chosen.seed, chosen.each)
    print(f"{tally.count} kills in {time.monotonic() - began:.0f} s, {tally.commits} commits, up to {tally.oldest} units in a store")
    print(", ".join(f"{phase}: {tally.kills[phase]}" for phase in PHASES))
    print(f"{tally.from_mirror} times the local disk went as well, and what was durable came back")
    for loss in tally.losses:
        print(f"  {loss}")
    print(f"{len(tally.losses)} losses")
    return 1 if tally.losses else 0


if __name__ == "__main__":
    sys.exit(main())
