"""Where in its source a running frame is."""

from __future__ import annotations

import itertools
from types import FrameType


def ending_at(frame: FrameType) -> tuple[int, int]:
    """Where in the source the expression ends that `frame` is in."""
    where = next(itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), None)
    return (0, 0) if where is None else (where[1] or 0, where[3] or 0)
