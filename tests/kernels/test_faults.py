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
for step in range(300):
    total += step
    time.sleep(0.01)
"""
FAULT_BEGINS_S, FAULT_ENDS_S = 1.0, 1.8


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
    began = time.monotonic()

    def turn_on_and_off() -> bool:
        passed = time.monotonic() - began
        if FAULT_BEGINS_S < passed < FAULT_ENDS_S:
            control.set(call, error, 1.0)
        else:
            control.off()
        return False

    with machine.kernel() as kernel:
        kernel.run(SETUP)
        began = time.monotonic()
        ran = kernel.run(CELL, kill_when=turn_on_and_off)
        assert ran.error == ""
        told = kernel.run("import json; print(json.dumps([total, seen]))").text
        kernel.kill()
    assert control.done > 0, "no call was made to fail"
    assert told.startswith(f"[{sum(range(300))},")
    after = told[told.rindex('"failed"') :]
    assert "SnapshotSaved" in after and "SnapshotSaved" in told[: told.index('"failed"')]
    with machine.kernel() as kernel:
        kernel.run("%load_ext colab_guard")
        kernel.run(CELL)
        assert kernel.run("total").value == str(sum(range(300)))
