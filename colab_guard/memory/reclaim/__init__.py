"""Clearing between models: what really frees memory in a notebook, and who still holds some.

After an error memory is kept by the frames of its traceback (`errors`), between cells by the four holders of `Out[]`
(`outputs`), between models by what a library lists (`training`) and by names that the next model binds anew (`names`),
and at last by caches (`caches`). What is still held after that is told by name (`holders`).

What enters: the shell, and figures from a probe. What leaves: memory, and a `Reclaimed`. The user's own names are left
alone, but for those that `forget` is told of.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from colab_guard.events import MemoryReclaimed
from colab_guard.hosts import MemoryProbe, SystemProbe
from colab_guard.memory.reclaim.caches import empty_caches
from colab_guard.memory.reclaim.errors import clear_exceptions
from colab_guard.memory.reclaim.figures import Figures, figures
from colab_guard.memory.reclaim.holders import HOLDER_BYTES, holders
from colab_guard.memory.reclaim.names import forget
from colab_guard.memory.reclaim.outputs import clear_outputs
from colab_guard.memory.reclaim.training import collect_with_lists_open

__all__ = ["HOLDER_BYTES", "Figures", "Reclaimed", "clear_exceptions", "clear_outputs", "figures", "forget", "reclaim"]


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """Figures before and after, in bytes; those to compare with, if known; who holds more than 64 MiB; how long it took."""

    before: Figures
    after: Figures
    baseline: Figures | None
    holders: tuple[str, ...]
    seconds: float

    @property
    def host_before(self) -> int:
        return self.before.host

    @property
    def host_after(self) -> int:
        return self.after.host

    @property
    def gpu_before(self) -> int | None:
        return self.before.allocated

    @property
    def gpu_after(self) -> int | None:
        return self.after.allocated

    def event(self, name: str, forgotten: tuple[str, ...] = ()) -> MemoryReclaimed:
        """What tells of it, for the guarded work `name`; `forgotten` are names that were let go of before."""
        before, after, baseline = self.before, self.after, self.baseline
        return MemoryReclaimed(
            name=name,
            host_before=before.host,
            host_after=after.host,
            gpu_before=before.allocated,
            gpu_after=after.allocated,
            holders=self.holders,
            rss_before=before.rss,
            rss_after=after.rss,
            rss_baseline=baseline.rss if baseline is not None else None,
            gpu_baseline=baseline.allocated if baseline is not None else None,
            reserved_before=before.reserved,
            reserved_after=after.reserved,
            reserved_baseline=baseline.reserved if baseline is not None else None,
            forgotten=forgotten,
            seconds=self.seconds,
        )


def reclaim(
    shell: Any = None, probe: MemoryProbe | None = None, *, baseline: Figures | None = None, shown: Collection[int] | None = ()
) -> Reclaimed:
    """Free what nothing needs; the user's own names are left alone, and outputs whose numbers are `shown` (None: all).

    From the main thread errors that user code has put by are cleared too, and accelerators' lists. From another one (the
    watcher's, under pressure) only what the shell keeps: code that runs may be looking at the others.
    """
    probe = probe or SystemProbe()
    began, before = time.perf_counter(), figures(probe)
    alone = threading.current_thread() is threading.main_thread()
    clear_exceptions(shell, everywhere=alone)
    if shell is not None and shown is not None:
        clear_outputs(shell, shown)
    if alone:
        collect_with_lists_open()
    else:
        gc.collect()
    empty_caches(alone=alone)
    after = figures(probe)
    # looking for holders costs a walk over the user's objects: not where there is nothing to be found
    found = () if baseline is not None and after.over(baseline) <= HOLDER_BYTES else holders(shell)
    return Reclaimed(before, after, baseline, found, time.perf_counter() - began)
