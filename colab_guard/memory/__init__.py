"""Memory: a cap on the GPU, a watch on host RAM, clearing between models, and series for panel and plots.

What enters: a share of memory to stay under, figures from a probe, the shell whose leftovers are cleared. What leaves:
events about pressure and samples, and reports of what was freed. This room knows nothing of the store.
"""

from __future__ import annotations

from colab_guard.memory.guard import MemoryGuard, Sample
from colab_guard.memory.limits import parse_fraction
from colab_guard.memory.reclaim import Reclaimed, reclaim

__all__ = ["MemoryGuard", "Reclaimed", "Sample", "parse_fraction", "reclaim"]
