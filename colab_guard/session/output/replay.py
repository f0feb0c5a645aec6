"""Shows a record again: text to its streams, displays with the ids that they had, in a terminal all as text.

A Jupyter server stops passing on what comes too fast (1,000 messages and 1 MB a second, looked at over 3 s), so a long
record is shown at a pace that is below that.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from colab_guard.clock import Clock
from colab_guard.session.output.items import ClearNext, Displayed, LeftOut, Printed
from colab_guard.session.output.record import Record
from colab_guard.session.output.widgets import without_view

BYTES_AT_ONCE = 2_000_000
BYTES_A_SECOND = 800_000
MESSAGES_AT_ONCE = 2_000
MESSAGES_A_SECOND = 800


def show_again(record: Record, shell: Any, clock: Clock) -> None:
    """Show all of `record`, in order."""
    kernel = getattr(shell, "kernel", None) is not None
    pace = _Pace(clock)
    streams = _Streams()
    for item in record.items():
        if isinstance(item, LeftOut):
            streams.write("stdout", f"{item}\n")
        elif isinstance(item, Printed):
            streams.write(item.stream, item.text)
            if kernel:
                pace.sent(len(item.text))
        elif not kernel:
            if isinstance(item, Displayed) and not item.update and item.bundle.data():
                streams.write("stdout", f"{words(item.bundle.data())}\n")
        elif isinstance(item, ClearNext):
            shell.display_pub.clear_output(wait=True)
        elif data := without_view(item.bundle.data()):
            streams.flush()
            transient = {"display_id": item.display_id} if item.display_id is not None else {}
            metadata = item.bundle.to_json()["metadata"]
            shell.display_pub.publish(data=data, metadata=metadata, transient=transient, update=item.update)
            pace.sent(item.bundle.size)
    streams.flush()


def words(data: dict[str, Any]) -> str:
    """A display in a terminal: its text, else what it would be elsewhere."""
    return str(data["text/plain"]) if "text/plain" in data else f"({', '.join(sorted(data))}: not shown in a terminal)"


class _Streams:
    """The standard streams; what was written to one is out before another is written to."""

    def __init__(self) -> None:
        self._last: Any = None

    def write(self, name: str, text: str) -> None:
        stream = getattr(sys, name)
        if stream is not self._last:
            self.flush()
        self._last = stream
        stream.write(text)

    def flush(self) -> None:
        if self._last is not None:
            self._last.flush()


class _Pace:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._bytes = self._messages = 0

    def sent(self, size: int) -> None:
        self._bytes += size
        self._messages += 1
        needed_s = max((self._bytes - BYTES_AT_ONCE) / BYTES_A_SECOND, (self._messages - MESSAGES_AT_ONCE) / MESSAGES_A_SECOND)
        ahead_s = needed_s - (self._clock.monotonic() - self._began)
        if ahead_s > 0:
            self._clock.wait(threading.Event(), ahead_s)
