"""Training plans: batch size, accumulation, dtype, LoRA rank and checkpointing for the device found, each with its reason.

What enters: a model (or its config, size or name) and what `hosts` knows of the device. What leaves: a `Plan`, plain
data that can be committed with a run and replayed. This room knows nothing of cells.
"""

from __future__ import annotations

from colab_guard.plan.choose import autoconfig
from colab_guard.plan.estimate import CannotEstimate, Estimate, estimate
from colab_guard.plan.plan import Plan
from colab_guard.plan.planned import Planned, begin, end, end_all
from colab_guard.plan.step import Step

__all__ = ["CannotEstimate", "Estimate", "Plan", "Planned", "Step", "autoconfig", "begin", "end", "end_all", "estimate"]
