"""What a run's process prints and displays, shown in the running cell as it comes.

Its standard output and error are pipes, so that what C code writes there comes too; displays come as lines of JSON in a
third one. The end of the process ends it, not the end of the pipes: workers that it has left behind may hold those.
"""

from __future__ import annotations

import codecs
import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from typing import Any

AT_ONCE = 1 << 16
TAIL_LINES = 20


class Pump:
    """Reads without waiting longer than it is told. `tail`: the last lines of standard error."""

    def __init__(self, process: subprocess.Popen[bytes], messages: int) -> None:
        assert process.stdout is not None and process.stderr is not None
        self._files = {process.stdout.fileno(): "stdout", process.stderr.fileno(): "stderr", messages: "messages"}
        self._process = process
        self._messages = messages
        self._decoders = {fd: codecs.getincrementaldecoder("utf-8")("replace") for fd in self._files}
        self._rest = ""
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._selector = selectors.DefaultSelector()
        for descriptor in self._files:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)

    def turn(self, wait_s: float) -> bool:
        """Show what is there, after waiting for it at most so long; whether there was something."""
        found = False
        ready = self._selector.select(wait_s) if self._selector.get_map() else []
        for key, _ in sorted(ready, key=lambda pair: pair[0].fd == self._messages):
            found |= self._read(int(key.fd))
        if not self._selector.get_map():
            time.sleep(wait_s)  # it has closed all of them and runs on
        return found

    def drain(self) -> None:
        """Show all that is left."""
        while self.turn(0.0):
            pass

    def close(self) -> None:
        self._selector.close()
        os.close(self._messages)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _read(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, AT_ONCE)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(descriptor)
            return False
        text = self._decoders[descriptor].decode(data)
        kind = self._files[descriptor]
        if kind == "messages":
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                _display(json.loads(line))
            return True
        stream = sys.stdout if kind == "stdout" else sys.stderr
        stream.write(text)
        stream.flush()
        if kind == "stderr":
            self.tail.extend(text.splitlines())
        return True


def _display(message: dict[str, Any]) -> None:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        print(message.get("data", {}).get("text/plain", ""))
    elif message["kind"] == "clear":
        shell.display_pub.clear_output(wait=message["wait"])
    else:
        shell.display_pub.publish(
            message["data"], message["metadata"], transient=message["transient"], update=message["kind"] == "update"
        )
