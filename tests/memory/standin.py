"""Stands for a kernel in tests of the sentinel: tells it what runs, and comes to its end in the way that is asked for."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from colab_guard.memory.watcher import Watcher
from colab_guard.workers import Workers


def main(box: str, end: str) -> None:
    workers = Workers()
    watcher = Watcher(workers, box=Path(box), notebook="a.ipynb", limit=None)
    watcher.tell(work="job", at={"unit": "vit r4", "step": "step 400", "saved": "iteration 390"}, levels=None)
    time.sleep(1.5)  # until its first look, and the first writing of the box
    print(watcher.pid, flush=True)
    if end == "wait":
        time.sleep(60)
    elif end == "grow":
        held = []
        while True:
            held.append(b"x" * 2**20)
    elif end == "status":
        os._exit(3)
    elif end == "crash":
        os.abort()
    elif end == "fork":
        if os.fork() == 0:
            time.sleep(30)  # a worker of a DataLoader that outlives its kernel holds the line to the sentinel too
            os._exit(0)
        os.kill(os.getpid(), 9)
    elif end == "close":
        watcher.close()
    # "return": as a kernel that shuts down


if __name__ == "__main__":
    main(*sys.argv[1:])
