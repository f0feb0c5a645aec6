"""One guard per kernel: it builds the parts when they are first needed, and owns what is in force.

What enters are the calls of the magics and of `colab_guard.guard` (`twins`, the Python twins of the magics) and the
beginning and end of guarded work (`checkpointing`, `work`); what leaves are the parts: bus, workers, keep-alive, memory
guard, panel. `Session.close` takes back everything in reverse order.
"""

from __future__ import annotations

from colab_guard.session.options import CheckpointOptions
from colab_guard.session.plainwork import microbatches, work
from colab_guard.session.session import Session, current, loaded
from colab_guard.session.twins import Guard, Notice, guard

__all__ = ["CheckpointOptions", "Guard", "Notice", "Session", "current", "guard", "loaded", "microbatches", "work"]
