"""The operating system fails under a real kernel's training: it goes on, it is told, and commits go on afterwards."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kernels.harness import Machine
from tests.store.faults.preload import Control, environment

SETUP = """
%load_ext colab_guard
from colab_guard.session import current
seen = []
current(get_ipython()).bus.subscribe(
    lambda event, at: seen.append("failed" if getattr(event, "failed", False) else type(event).__name__)
)
"""
CELL = """%%checkpointed job --every 0.05s --budget 50%
import time
total = 0
for step in range(600):
    total += step
    time.sleep(0.01)
"""
COMMITS_BEFORE, FAULT_S = 2, 0.5


@dataclass
class FaultyMachine(Machine):
    more: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self.more}


@pytest.mark.parametrize(("call", "error"), [("write", errno.ENOSPC), ("fsync", errno.EIO), ("open", errno.EROFS)])
def test_training_goes_on_through_a_fault_and_is_saved_after_it(tmp_path: Path, call: str, error: int) -> None:
    machine = FaultyMachine(tmp_path / "machine")
    machine.more = environment(tmp_path, machine.home)
    control = Control(tmp_path / "control")
    begun: list[float] = []

    def turn_on_and_off() -> bool:
        """On when something is saved, off when calls have failed for a while."""
        if not begun and len(list((machine.home / "job" / "commits").glob("*.json"))) >= COMMITS_BEFORE:
            begun.append(time.monotonic())
            control.set(call, error, 1.0)
        elif begun and control.done > 0 and time.monotonic() - begun[0] > FAULT_S:
            control.off()
        return False

    with machine.kernel() as kernel:
        kernel.run(SETUP)
        ran = kernel.run(CELL, kill_when=turn_on_and_off)
        assert ran.error == ""
        told = kernel.run("import json; print(json.dumps([total, seen]))").text
        kernel.kill()
    assert control.done > 0, "no call was made to fail"
    assert told.startswith(f"[{sum(range(600))},")
    after = told[told.rindex('"failed"') :]
    assert "SnapshotSaved" in after and "SnapshotSaved" in told[: told.index('"failed"')]
    with machine.kernel() as kernel:
        kernel.run("%load_ext colab_guard")
        kernel.run(CELL)
        assert kernel.run("total").value == str(sum(range(600)))
