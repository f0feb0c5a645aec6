"""Training plans: batch size, accumulation, dtype, LoRA rank and checkpointing for the device found, each with its reason.

What enters: a model (or its config, size or name) and what `hosts` knows of the device. What leaves: a `Plan`, plain
data that can be committed with a run and replayed. This room knows nothing of cells.
"""

from __future__ import annotations

from colab_guard.plan.choose import autoconfig
from colab_guard.plan.plan import Plan

__all__ = ["Plan", "autoconfig"]
