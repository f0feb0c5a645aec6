"""`python -m tests.store.crashes`: every state of every scenario, and the enumerator's proof of itself."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.store.crashes.enumerate import first_loss, kinds_of_sync, left_out, losses, recordings
from tests.store.crashes.states import states


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.store.crashes", description=__doc__)
    parser.add_argument("--scenario", default="", help="only the scenarios whose name begins so")
    parser.add_argument("--no-proof", action="store_true", help="do not leave out any fsync")
    chosen = parser.parse_args()
    began, bad = time.monotonic(), 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        for recording in recordings(folder):
            if not recording.name.startswith(chosen.scenario):
                continue
            images = list(states(recording.operations))
            found = list(losses(recording, images, folder))
            bad += len(found)
            print(f"{recording.name}: {len(recording.operations)} operations, {len(images)} states, {len(found)} with a loss", flush=True)
            for loss in found[:5]:
                print(f"  after operation {loss.after}: {loss.what}\n    found: {', '.join(loss.files)}")
            for kind in [] if chosen.no_proof else kinds_of_sync(recording):
                proof = first_loss(left_out(recording, kind), folder)
                print(f"  without the fsync of {kind}: {'no loss is found' if proof is None else proof.what}", flush=True)
    print(f"{bad} states with a loss, in {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
