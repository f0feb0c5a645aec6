"""One line to the user while a cell runs, from any thread and from none that prints.

What a thread prints goes to the cell that started the thread (ipykernel 7), or waits until the buffer is flushed. A note
is a message of its own instead, for the cell that was running when the `Notes` were made: it takes no lock of the
standard streams, so that it cannot meet a print that an interrupt cut in two, and it is no output of the user's code.
"""

from __future__ import annotations

import sys
from typing import Any

TOPIC = b"stream.stderr"


class Notes:
    """Made in the cell's own thread; `say` may be called from any."""

    def __init__(self, shell: Any) -> None:
        self._kernel = getattr(shell, "kernel", None)
        self._parent = getattr(shell, "parent_header", None) or {}

    def say(self, text: str) -> None:
        """Show `text` under the running cell, as a line of its standard error; in a terminal, on the terminal."""
        line = f"{text}\n"
        if self._kernel is None:
            if sys.__stderr__ is not None:
                sys.__stderr__.write(line)
                sys.__stderr__.flush()
            return
        content = {"name": "stderr", "text": line}
        self._kernel.session.send(self._kernel.iopub_socket, "stream", content, parent=self._parent, ident=TOPIC)
