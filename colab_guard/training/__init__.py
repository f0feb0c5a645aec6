"""Loops inside libraries that can be resumed at a step: transformers' `Trainer` first.

What enters: a guarded cell that calls such a loop, unmodified. What leaves: safe points inside it, the loop's own state
for the snapshot, and on a resume the loop at the same step with the same bits. Each loop is a `LibraryLoop`; nothing
here imports its library, which is looked for among the modules that are loaded.
"""

from __future__ import annotations

from colab_guard.cells import LibraryLoop
from colab_guard.training import reducers
from colab_guard.training.parts import InParts
from colab_guard.training.trainer import Progress, TrainerLoop


def default_loops(on_step: Progress | None = None, in_parts: InParts | None = None) -> list[LibraryLoop]:
    """The library loops known here; `on_step(step, total, loss)` hears of their steps.

    `in_parts` runs a micro-batch in smaller parts where memory runs out. How their objects are captured is told to `state`.
    """
    reducers.register()
    return [TrainerLoop(on_step, in_parts)]


__all__ = ["InParts", "Progress", "TrainerLoop", "default_loops"]
