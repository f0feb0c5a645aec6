"""What is said while a resume finds its way back to the position.

Blocks that are entered again and progress bars that are made again say what they said before the loss, and that is in the
record. So it is held back until the position is reached; what had not been said before is said then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from colab_guard.session.output.bundles import Bundle
from colab_guard.session.output.folding import folded
from colab_guard.session.output.items import Displayed, Printed
from colab_guard.session.output.record import Record
from colab_guard.session.output.widgets import same_bar

UP = "\x1b[A"


class HeldBack:
    """What was said since the way back began; `record` knows what was said before the loss."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._taken: set[str] = set()
        self.drawn: set[str] = set()
        """Streams on which a bar drew itself."""
        self._said: list[tuple[Any, str] | tuple[Bundle, Callable[[], object]]] = []

    def write(self, name: str, stream: Any, text: str) -> int:
        if text.startswith("\r"):
            self.drawn.add(name)  # a bar draws itself: its line is shown already
        else:
            self._said.append((stream, text))
        return len(text)

    def place_of(self, data: Mapping[str, Any]) -> str | None:
        """The display id of a bar that was there before the loss and comes back as `data` now; each once."""
        for item in reversed(list(self._record.items())):
            if not isinstance(item, Displayed) or item.display_id is None or item.display_id in self._taken:
                continue
            if same_bar(item.bundle.data(), data):
                self._taken.add(item.display_id)
                return item.display_id
        return None

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
