"""What the guard says: what is in force, what memory has come to, why a cell was ended."""

from __future__ import annotations

from collections.abc import Sequence

from colab_guard.hosts import GpuMemory
from colab_guard.memory.caps import Cap, uncapped_words
from colab_guard.memory.judge import LEVELS, Thresholds

DOES = {
    "soft": "caches are cleared",
    "hard": "saved at the next safe point, then copies are let go",
    "last": "the cell is ended before the system kills the kernel",
}
NOT_MAIN = "the work runs in a thread of its own and cannot be ended; the system may kill the kernel"


def in_use(used: int, limit: int) -> str:
    return f"host RAM {_gib(used)} of {_gib(limit)}"


def in_force(fraction: float, caps: Sequence[Cap], gpu: GpuMemory | None, used: str, levels: Thresholds) -> str:
    """One line: what is in force, what is used, what cannot be caught, how to undo it."""
    if caps:
        words = f"GPU capped: {', '.join(cap.words(fraction) for cap in caps)} of its memory"
    else:
        words = f"GPU cap {fraction:g}, {uncapped_words()}"
    if gpu is not None:
        words += f", {_gib(gpu.reserved)} of {_gib(gpu.total)} reserved"
    shares = ", ".join(f"{level} {levels.share(level):.0%}" for level in LEVELS)
    cannot = "One huge allocation inside C code cannot be stopped: then the work resumes from its last commit"
    return f"Memory: {words}; {used}, watched while guarded work runs ({shares}). {cannot}. %memguard off undoes it."


def pressure(level: str, used: int, limit: int, *, working: bool, can_end: bool) -> str:
    """What memory has come to, and what is done about it."""
    does = f": {DOES[level] if level != 'last' or can_end else NOT_MAIN}" if working else ""
    return f"{in_use(used, limit)}{does}"


def stopped(used: int, limit: int) -> str:
    """Why the cell was ended."""
    return (
        f"host memory is nearly full ({_gib(used)} of {_gib(limit)}): the cell was ended before the system would have killed the "
        "kernel. What was saved stays; free memory or make the work smaller, and run the cell again"
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
