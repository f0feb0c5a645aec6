"""What a renderer is, and how sentences become text."""

from __future__ import annotations

from typing import Protocol

from colab_guard.panel.view import Ago, Between, Sentence, View
from colab_guard.panel.words import between, clock_time, duration, minute


class Renderer(Protocol):
    """Draws a view as one string."""

    def render(self, view: View, *, static: bool = False) -> str:
        """`static`: nobody will draw it again, so moments are given as times of day."""


def plain(sentence: Sentence, now: float, *, static: bool = False) -> str:
    """A sentence as text."""
    words = ""
    for part in sentence:
        if isinstance(part, str):
            words += part
        elif isinstance(part, Ago):
            words += f"at {clock_time(part.ago)}" if static else f"{duration(now - part.ago)} ago"
        elif isinstance(part, Between):
            if static:
                words += f"between {minute(part.low)} and {minute(part.high)} UTC"
            else:
                words += f"in {between(part.low - now, part.high - now)}"
        else:
            words += duration(now - part.since)
    return words
