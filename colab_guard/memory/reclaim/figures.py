"""What this process uses of host and GPU memory at a moment."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from colab_guard.hosts import MemoryProbe

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Figures:
    """Bytes: `rss`, this process's own; `host`, all that counts against the limit; the GPU's are None without one."""

    rss: int
    host: int
    allocated: int | None = None
    reserved: int | None = None

    def over(self, baseline: Figures) -> int:
        """Bytes above `baseline` on the memory that counts for models: the GPU where there is one, else this process's."""
        if self.allocated is not None:
            return self.allocated - (baseline.allocated or 0)
        return self.rss - baseline.rss


def figures(probe: MemoryProbe) -> Figures:
    """The figures now; reads only."""
    gpu = probe.gpu()
    return Figures(
        psutil.Process().memory_info().rss,
        probe.host_used(),
        gpu.allocated if gpu is not None else None,
        gpu.reserved if gpu is not None else None,
    )
