"""Letting go of what an error's frames hold, without looking at where else it may be remembered."""

from __future__ import annotations

from colab_guard.memory.reclaim.errors import clear_frames
from colab_guard.memory.recognise import links


def let_go(error: BaseException | None) -> None:
    """Clear the frames of `error` and of its chain that have ended; those that still run keep what they need.

    The traceback can be shown afterwards as before. Of the frames' variables nothing is left: tensors, graphs, batches.
    """
    clear_frames(link.__traceback__ for link in links(error))
