"""Memory: a cap on the GPU, a watch on host RAM, clearing between models, and series for panel and plots.

What enters: a share of memory to stay under, figures from a probe, the shell whose leftovers are cleared. What leaves:
events about pressure and samples, and reports of what was freed. This room knows nothing of the store.

Host RAM is watched by a process of its own (`sentinel`; `watcher` is the kernel's end of the line to it), which also keeps
the black box that outlives the kernel. `stopping` ends guarded work at the last moment, in the main thread. What is done
when memory runs out stands in `recovery` and `microbatches`, which are imported by that name when something trains.
"""

from __future__ import annotations

from colab_guard.hosts import SystemProbe
from colab_guard.memory.guard import MemoryGuard
from colab_guard.memory.limits import parse_fraction
from colab_guard.memory.reclaim import Figures, Reclaimed, figures, forget, reclaim
from colab_guard.memory.series import Mark, Sample, Series

__all__ = [
    "Figures",
    "Mark",
    "MemoryGuard",
    "Reclaimed",
    "Sample",
    "Series",
    "SystemProbe",
    "figures",
    "forget",
    "parse_fraction",
    "reclaim",
]
