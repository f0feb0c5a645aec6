"""The kernel's end of the line to its sentinel process: starts it, tells it what runs, hears what it sees."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colab_guard.workers import Workers

LONGEST = 200
"""Characters of a text that is told. A line longer than PIPE_BUF (4096 bytes) might arrive in pieces."""
END_WITHIN_S = 2.0
START = """\
import sys, types
for name in ("colab_guard", "colab_guard.hosts", "colab_guard.memory"):
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = ["/".join([sys.argv[1], *name.split(".")])]
from colab_guard.memory.sentinel import main
main(sys.argv[2])
"""
"""The packages are stood in for by empty ones, so that what they gather for the kernel is not imported: the sentinel's
own modules need the standard library alone."""


class Watcher:
    """A running sentinel. `lines` gives what it says until it ends; `tell` may be called from any thread."""

    def __init__(self, workers: Workers, *, box: Path, notebook: str, limit: int | None) -> None:
        self._workers = workers
        self._pid = os.getpid()
        told = {"pid": self._pid, "box": str(box), "notebook": notebook, "limit": limit}
        folder = str(Path(__file__).parents[2])
        self._process: subprocess.Popen[bytes] = workers.process([sys.executable, "-I", "-S", "-c", START, folder, json.dumps(told)])
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self.closed = False
        atexit.register(self._end)  # a kernel that shuts down does not unload

    @property
    def pid(self) -> int:
        """The sentinel's number."""
        return self._process.pid

    def lines(self) -> Iterator[dict[str, Any]]:
        """What the sentinel says; ends when it has ended."""
        assert self._process.stdout is not None
        rest = b""
        while data := os.read(self._process.stdout.fileno(), 65536):
            *whole, rest = (rest + data).split(b"\n")
            yield from map(json.loads, whole)

    def tell(self, **words: Any) -> bool:
        """Say something; False where the sentinel is gone, or so far behind that its line is full."""
        if os.getpid() != self._pid or self.closed:
            return False
        assert self._process.stdin is not None
        try:
            os.write(self._process.stdin.fileno(), json.dumps(words).encode() + b"\n")
        except (BlockingIOError, BrokenPipeError, ValueError):
            return False
        return True

    def close(self) -> None:
        """The sentinel is not needed any more; it ends."""
        if self.closed or os.getpid() != self._pid:
            return
        atexit.unregister(self._end)
        self._end()
        self._workers.end_process(self._process, END_WITHIN_S)

    def _end(self) -> None:
        self.tell(end=True)
        self.closed = True


def clipped(text: object) -> str:
    """`text` as it is told: one that is too long loses its end."""
    whole = str(text)
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"
