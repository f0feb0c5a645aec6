"""colab_guard as users use it: the same steps in a `%%checkpointed` cell, with DataLoader, scheduler and a list of losses.

Now and then its schedule says that a snapshot is due, which is then taken as always. The first commit of a cell stores
everything, and is left out; the others are what a run goes on paying.
"""

from __future__ import annotations

import os
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from IPython.core.interactiveshell import InteractiveShell

from colab_guard import hosts
from colab_guard.events import Event, SnapshotNotTaken, SnapshotSaved
from colab_guard.session import current
from tests.benchmarks.checkpoints.cases import STEP, Case
from tests.benchmarks.checkpoints.timing import STEPS, Sample

PERIOD = 2 * STEPS + 1
"""Turns of the cell's loop for each commit: steps alone, and steps beside the writer."""
WAIT_S = 60.0
WAYS = {"colab_guard": "", "colab_guard --overlap full": "--overlap full"}
"""Options of the cell, by the name of the row."""
CELL = """for turn, (ids,) in enumerate(loader):
{step}
    scheduler.step()
    losses.append(loss.item())
    pace(turn)
"""


@dataclass
class Pace:
    """Called at the end of each turn; what it notes stays outside of what is saved."""

    session: Any
    turns: list[tuple[float, float]] = field(default_factory=list)
    """Wall and processor seconds at the end of each turn, and where the next begins."""
    begun: list[tuple[float, float]] = field(default_factory=list)
    saved: list[SnapshotSaved] = field(default_factory=list)

    def hear(self, event: Event, at: float) -> None:
        if isinstance(event, SnapshotSaved):
            self.saved.append(event)
        elif isinstance(event, SnapshotNotTaken):
            raise AssertionError(event.reason)

    def turn(self, number: int) -> None:
        self.turns.append(_now())
        asked = number % PERIOD
        if asked == STEPS:
            self.session.work.engine.schedule.due_at = 0.0  # long ago
        elif asked == PERIOD - 1:
            self._wait(number // PERIOD + 1)
        self.begun.append(_now())

    def _wait(self, count: int) -> None:
        until = time.monotonic() + WAIT_S
        while len(self.saved) < count and time.monotonic() < until:
            self.session.bus.flush()
            time.sleep(0.001)

    def samples(self, sizes: dict[str, int]) -> list[Sample]:
        """Of all commits but the first, and the one that ends the cell."""
        found = []
        for number, event in enumerate(self.saved):
            start = number * PERIOD + STEPS
            if number == 0 or start + STEPS >= len(self.begun):
                continue
            alone = [self.turns[n + 1][0] - self.begun[n][0] for n in range(start - STEPS, start)]
            alone_cpu = sum(self.turns[n + 1][1] - self.begun[n][1] for n in range(start - STEPS, start))
            # the stall lies between the turn that asks and the next
            beside = [self.turns[n + 1][0] - self.begun[n][0] for n in range(start, start + STEPS)]
            beside[0] -= event.stall_s
            cpu = self.begun[start + STEPS][1] - self.begun[start][1] - alone_cpu
            size = event.bytes_new + sizes.get(event.commit, 0)
            found.append(Sample(event.stall_s, event.stall_s + event.write_s, cpu, median(beside) / median(alone), size))
        return found


PACE: list[Pace] = []
"""The pace of the cell that runs, or none."""


def pace(turn: int) -> None:
    PACE[-1].turn(turn)


CALL = f"""
import sys
def pace(turn):
    sys.modules["{__name__}"].pace(turn)
"""
"""A function of the notebook's: one of this module would count as the user's, whose words tell of writing past torch."""


class Guarded:
    """A shell with the extension, whose stores are in `home`."""

    def __init__(self, home: Path) -> None:
        os.environ["COLAB_GUARD_HOME"] = str(home)
        self.shell = InteractiveShell.instance()
        self.shell.run_line_magic("load_ext", "colab_guard")
        self.session = current(self.shell)
        self.session.panel_factory = None
        self.shell.run_cell(CALL)
        self._number = 0

    def samples(self, case: Case, commits: int, options: str = "") -> list[Sample]:
        """So many commits, and a first one that does not count."""
        self._number += 1
        name = f"bench{self._number}"
        turns = (commits + 1) * PERIOD
        data = torch.utils.data.TensorDataset(torch.randint(0, 5_000, (turns * len(case.ids), case.ids.shape[1])))
        self.shell.user_ns.update(
            case.names,
            loader=torch.utils.data.DataLoader(data, batch_size=len(case.ids), shuffle=True),
            scheduler=torch.optim.lr_scheduler.StepLR(case.optimizer, 100),
            losses=[],
        )
        paced = Pace(self.session)
        PACE.append(paced)
        self.session.bus.subscribe(paced.hear)
        cell = CELL.format(step=textwrap.indent(STEP.rstrip(), "    "))
        sizes: dict[str, int] = {}
        try:
            self.shell.run_cell_magic("checkpointed", f"{name} --every 3600s {options}".strip(), cell)
            self.session.bus.flush()
            folder = hosts.home() / name / "commits"
            typical = [path.stat().st_size for path in folder.glob("*.json")]
            sizes = dict.fromkeys((event.commit for event in paced.saved), max(typical, default=0))
        finally:
            PACE.pop()
        return paced.samples(sizes)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
