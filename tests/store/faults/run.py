"""Starts `work` in a process of its own, with the library loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.store.faults.preload import environment
from tests.store.faults.work import Found

LIMIT_S = 500


def rounds(folder: Path, count: int, seed: int) -> Found:
    root = folder / "root"
    root.mkdir()
    ran = subprocess.run(
        [sys.executable, "-m", "tests.store.faults.work", str(root), str(count), str(seed)],
        env={**os.environ, **environment(folder, root)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return Found(**json.loads(ran.stdout))
