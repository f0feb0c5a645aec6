"""Reading the limit that a user typed, and the thresholds on host memory."""

from __future__ import annotations

from colab_guard.errors import BadOption
from colab_guard.memory.judge import Thresholds

ABOVE_HARD = 0.03
"""From `hard` to the last threshold: room for the commit, and time for a loop to be stopped."""
HIGHEST_HARD = 0.95
"""Above it the system may kill before anything is committed."""


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


def thresholds(soft: float | None = None, hard: float | None = None) -> Thresholds:
    """The thresholds with `soft` and `hard` as chosen, each a share of host memory; BadOption where they make no sense."""
    usual = Thresholds()
    chosen_hard = usual.hard if hard is None else hard
    if chosen_hard > HIGHEST_HARD:
        raise BadOption(f"--hard {hard:g} leaves no room to save in; type at most {HIGHEST_HARD:g}")
    chosen_soft = min(usual.soft, chosen_hard - (usual.hard - usual.soft)) if soft is None else soft
    if not 0.1 <= chosen_soft < chosen_hard:
        raise BadOption(f"--soft {chosen_soft:g} must be below --hard {chosen_hard:g} and at least 0.1; type e.g. --soft 0.8 --hard 0.9")
    return Thresholds(round(chosen_soft, 4), chosen_hard, round(chosen_hard + ABOVE_HARD, 4))
