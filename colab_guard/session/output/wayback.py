"""What is said while a resume finds its way back to the position.

Blocks that are entered again and progress bars that are made again say what they said before the loss, and that is in the
record. So it is held back until the position is reached; what had not been said before is said then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from colab_guard.session.output.bundles import Bundle
from colab_guard.session.output.folding import folded
from colab_guard.session.output.record import Displayed, Printed, Record

UP = "\x1b[A"


class HeldBack:
    """What was said since the way back began; `record` knows what was said before the loss."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._said: list[tuple[Any, str] | tuple[Bundle, Callable[[], object]]] = []

    def write(self, stream: Any, text: str) -> int:
        if not text.startswith("\r"):  # else a bar draws itself: its line is shown already
            self._said.append((stream, text))
        return len(text)

    def show(self, bundle: Bundle, say: Callable[[], object]) -> None:
        self._said.append((bundle, say))

    def say_news(self) -> None:
        """Say what the record does not know."""
        if not self._said:
            return
        lines: set[str] = set()
        shown: list[Bundle] = []
        for item in self._record.items():
            if isinstance(item, Printed):
                lines.update(item.text.split("\n"))
            elif isinstance(item, Displayed):
                shown.append(item.bundle)
        for what, said in self._joined():
            if isinstance(what, Bundle):
                if what not in shown:
                    said()
                continue
            news = [line for line in folded(said.replace(UP, "")).split("\n") if line.strip() and line not in lines]
            if news:
                what.write("\n".join(news) + "\n")

    def _joined(self) -> list[tuple[Any, Any]]:
        joined: list[tuple[Any, Any]] = []
        for what, said in self._said:
            if joined and joined[-1][0] is what and isinstance(said, str):
                joined[-1] = (what, joined[-1][1] + said)
            else:
                joined.append((what, said))
        return joined
