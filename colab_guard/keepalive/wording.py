"""Small words that several modules of this room need."""

from __future__ import annotations


def one_line(text: str) -> str:
    """`text` on one line, without control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def ago(at: float | None, now: float) -> str:
    """How long before `now` something was heard; both in seconds since the epoch."""
    return "never so far" if at is None else f"{max(0.0, now - at):.0f} s ago"
