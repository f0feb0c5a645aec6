"""Real kernels whose guarded loop grows without end: the cells, and what is read of them afterwards."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from colab_guard import store
from tests.kernels.harness import Machine
from tests.memory.groups import memory_group

LIMIT = 2**30
QUICK_S = 0.001
"""Between two MiB: so quick that the limit is reached in a second, and not so quick that no snapshot is due before."""
SETUP = """
%load_ext colab_guard
exec('''
from colab_guard.session import current
from colab_guard.hosts import SystemProbe
session = current(shell)
shell.seen = []
def hear(event, at):
    interval = session.work.engine.schedule.interval_s if session.work is not None and session.work.engine is not None else 0
    shell.seen.append((type(event).__name__, at, getattr(event, "level", ""), getattr(event, "write_s", 0), interval))
session.bus.subscribe(hear)
{probe}
''', {{"shell": get_ipython()}})  # outside the notebook's names, which are the snapshot's
%memguard 0.85
"""
OWN_LIMIT = f"session.memory.probe = SystemProbe(limit={LIMIT})"
GROWING = """%%checkpointed growing --every 0.5s --budget 50% --skip held
import time
held, step = [], 0
while True:
    step += 1
    held.append(bytearray(2**20))
    held[-1][::4096] = b"x" * len(held[-1][::4096])
    time.sleep({pause})
"""
READ = """
import json, re
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
print(json.dumps({"peak": peak, "seen": get_ipython().seen, "step": globals().get("step", 0)}))
"""


@dataclass(frozen=True)
class Try:
    """What became of one kernel's loop.

    `share` is the highest use of the limit; `levels` were said in this order; `lost_s` passed from the last snapshot that is
    saved (`saved`: its step, of `step`) to the error, where a snapshot was due every `interval_s`.
    """

    error: str
    share: float
    levels: tuple[str, ...]
    step: int
    saved: int
    lost_s: float
    interval_s: float
    seconds: float

    @property
    def stopped(self) -> bool:
        return "HostMemoryPressure" in self.error and self.share < 0.95 and self.saved > 0


def one(root: Path, *, python: str = sys.executable, pause: float = QUICK_S, in_group: bool = False) -> Try:
    """Let a loop grow in a kernel of its own: against a limit given to the probe, or one of a real cgroup."""
    machine = Machine(root, python)
    began = time.monotonic()
    with ExitStack() as undo:
        group = undo.enter_context(memory_group(LIMIT)) if in_group else None
        kernel = undo.enter_context(machine.kernel())
        if group is not None:
            group.take(int(kernel.run("import os; print(os.getpid())").text))
        kernel.run(SETUP.format(probe="" if in_group else OWN_LIMIT))
        ended = kernel.run(GROWING.format(pause=pause))
        assert not ended.died, "the kernel was killed"
        read = json.loads(kernel.run(READ).text)
        peak = group.peak() if group is not None else read["peak"]
    error = ended.error.strip().splitlines()[-1] if ended.error else ""
    over = next(at for name, at, *_ in read["seen"] if name == "WorkEnded")
    saved = [(at - write_s, interval) for name, at, _, write_s, interval in read["seen"] if name == "SnapshotSaved"]
    levels = tuple(level for name, _, level, *_ in read["seen"] if name == "MemoryPressure")
    lost_s, interval_s = (over - saved[-1][0], max(i for _, i in saved)) if saved else (0.0, 0.0)
    return Try(error, peak / LIMIT, levels, read["step"], saved_step(machine), lost_s, interval_s, time.monotonic() - began)


def saved_step(machine: Machine) -> int:
    """The step of the newest commit, all of whose bytes are as they were written; -1 where there is none."""
    path = machine.home / "growing"
    assert store.verify(path) == []
    rows = store.describe(path).rows
    found = re.search(r"iteration ([\d,]+)", rows[0].position) if rows else None
    return int(found[1].replace(",", "")) if found else -1
