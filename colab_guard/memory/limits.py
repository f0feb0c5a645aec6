"""Reading the limit that a user typed, and the cap on the GPU that follows from it."""

from __future__ import annotations

import sys
from typing import Any

from colab_guard.errors import BadOption

MARGIN = 0.02
"""Share of a GPU's memory that stays free for what is not torch's: the next context, a library's workspace."""
COLLECT_FROM = 0.8
"""The allocator gives back unused blocks from this share of the cap on."""


def parse_fraction(text: str | float) -> float:
    """0.85, "0.85" or "85%" → 0.85; BadOption for anything that is no share between 0.1 and 1."""
    word = str(text).strip()
    try:
        value = float(word[:-1]) / 100 if word.endswith("%") else float(word)
    except ValueError:
        raise BadOption(f"{word!r} is no share of memory; type 0.85 or 85%") from None
    if 10 <= value <= 100 and not word.endswith("%"):
        raise BadOption(f"{word} is more than all memory; for {word} percent type {value / 100:g} or {word}%")
    if not 0.1 <= value <= 1:
        raise BadOption(f"{word} is no usable share of memory; type one between 0.1 and 1, e.g. 0.85")
    return value


class GpuCap:
    """The cap on what torch reserves on each GPU; `lift` puts back what was before."""

    def __init__(self) -> None:
        self._before: dict[int, float] = {}

    def set(self, fraction: float) -> list[float]:
        """Cap each GPU in use at `fraction`, less where others use it; the caps. [] without torch or a GPU."""
        torch = _torch_with_gpu()
        if torch is None:
            return []
        caps = []
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            own = torch.cuda.memory_reserved(number)
            # where others fill the GPU this could fall below nothing, which torch refuses
            cap = max(min(fraction, (free + own) / total - MARGIN), MARGIN)
            self._before.setdefault(number, _fraction_now(torch, number))
            torch.cuda.set_per_process_memory_fraction(float(cap), number)
            caps.append(cap)
        return caps

    def lift(self) -> None:
        torch = _torch_with_gpu()
        for number, fraction in self._before.items():
            if torch is not None:
                torch.cuda.set_per_process_memory_fraction(fraction, number)
        self._before.clear()


def _fraction_now(torch: Any, number: int) -> float:
    read = getattr(torch.cuda, "get_per_process_memory_fraction", None)
    return float(read(number)) if read is not None else 1.0


def _torch_with_gpu() -> Any:
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_available() else None
