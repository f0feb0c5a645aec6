"""One save, timed: how long training stands still, what the steps behind it take, and the processor time of all of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

STEPS = 3
"""Training steps that are timed after a save, and before it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds; `done_s`: from the beginning of the save until it is whole on disk, with `STEPS` steps beside it.

    `slower`: those steps, as a multiple of such steps with no save behind them. `size`: bytes that were written.
    """

    stall_s: float
    done_s: float
    cpu_s: float
    slower: float
    size: int


def timed(step: Callable[[], Any], times: int = STEPS) -> tuple[list[float], float]:
    """Seconds of each of `times` steps; processor seconds of all."""
    cpu, found = time.process_time(), []
    for _ in range(times):
        began = time.perf_counter()
        step()
        found.append(time.perf_counter() - began)
    return found, time.process_time() - cpu


def sample(save: Callable[[], Callable[[], Any]], step: Callable[[], Any], size: Callable[[], int]) -> Sample:
    alone, cpu_alone = timed(step)
    cpu, began = time.process_time(), time.perf_counter()
    finish = save()
    stall_s = time.perf_counter() - began
    beside, _ = timed(step)
    finish()
    done_s = time.perf_counter() - began
    cpu_s = time.process_time() - cpu - cpu_alone
    return Sample(stall_s, done_s, cpu_s, median(beside) / median(alone), size())
