"""The sentinel: a small process beside the kernel that watches memory, and writes down how the kernel came to its end.

1. It is started by `watcher` with the standard library alone (no site-packages, no torch), in a session of its own, so
   that neither a stalled kernel nor a signal to the kernel's group touches it.
2. It reads figures 4 to 10 times a second and says on its output, line by line in JSON, what the kernel has to know:
   samples for the panel, and each level of pressure once. A kernel that does not read is not waited for.
3. At the last level it sends SIGNAL to the kernel, at every look, for as long as the kernel says that it may. Where that
   interrupts the work, and whether, the kernel's handler decides. The signal means nothing to a process without handler.
4. The kernel tells on this process's input what runs, what is saved, and when it ends as it should.
5. When the kernel is gone it reads the system's count of kills, and how the kernel ended where its parent has not taken
   that yet, writes the black box, and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections import deque
from pathlib import Path
from types import FrameType
from typing import Any

from colab_guard.hosts import blackbox, gauges
from colab_guard.memory.judge import Judge, Thresholds

SIGNAL = signal.SIGURG
"""Ignored by default, so that it harms no process that does not expect it."""
SAMPLE_EVERY_S, ROW_EVERY_S, WRITE_EVERY_S, COUNT_EVERY_S = 2.0, 1.0, 10.0, 2.0
IDLE_S = 1.0
"""Between two looks while no guarded work runs and no limit is set."""
ROWS = 300
"""Five minutes."""
MARKS = 40
STATUS_WITHIN_S = 0.5
BOX_AFTER_S = 1.0
"""A kernel that was watched for less and ends as it should leaves no box where there was none."""


class Sentinel:
    """One kernel's. `told` is what `watcher` starts it with: pid, box, notebook, and a limit of the user's own or None."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._kernel = int(told["pid"])
        self._box = Path(told["box"])
        limit = told["limit"]
        self._gauge = gauges.HostGauge(self._kernel) if limit is None else gauges.ProcessGauge(limit, self._kernel)
        self._judge: Judge | None = None
        self._armed = False
        self._gpu = 0
        self._in = b""
        self._rows: deque[list[float]] = deque(maxlen=ROWS)
        self._marks: deque[list[Any]] = deque(maxlen=MARKS)
        self._kills = gauges.oom_kills(self._kernel)
        self._grew_at = -1e9
        self._next = dict.fromkeys(("sample", "row", "write", "count"), 0.0)
        self._next["write"] = time.monotonic() + BOX_AFTER_S
        self._record: dict[str, Any] = {
            "format": blackbox.FORMAT,
            "boot": gauges.boot_id(),
            "pid": self._kernel,
            "started": gauges.started(self._kernel),
            "notebook": told["notebook"],
            "began": time.time(),
            "work": "",
            "at": {},
            "limit": 0,
            "kills": self._kills,
            "end": None,
        }

    def run(self) -> None:
        """Until the kernel ends, or says that it needs no sentinel any more."""
        blackbox.keep_newest(self._box.parent)
        os.set_blocking(sys.stdin.fileno(), False)
        os.set_blocking(sys.stdout.fileno(), False)
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        poll = select.poll()
        poll.register(sys.stdin.fileno(), select.POLLIN)
        with contextlib.suppress(OSError, AttributeError):  # an old system, or a sandbox that has no such call
            poll.register(os.pidfd_open(self._kernel), select.POLLIN)
        while True:
            wait_s = self._judge.wait_s if self._judge is not None else IDLE_S
            if self._record["work"] and self._judge is None:
                wait_s = min(wait_s, 0.25)
            poll.poll(wait_s * 1000)
            if not self._read() or os.getppid() != self._kernel:
                return self._kernel_ended()
            self._look()

    # what the kernel says

    def _read(self) -> bool:
        """Take what the kernel has said; False when its end of the line is gone."""
        try:
            while data := os.read(sys.stdin.fileno(), 65536):
                self._in += data
        except BlockingIOError:
            data = b"\n"
        *lines, self._in = self._in.split(b"\n")
        for line in lines:
            self._take(json.loads(line))
        return bool(data)

    def _take(self, said: dict[str, Any]) -> None:
        if "end" in said:
            self._end("clean")
        if "work" in said:
            self._record["work"], self._record["at"] = said["work"], {}
            self._next["sample"] = 0.0
            if self._judge is not None and said["work"]:
                self._judge.forget()
        self._record["at"].update(said.get("at", {}))
        self._armed = said.get("armed", self._armed)
        self._gpu = said.get("gpu", self._gpu)
        if "levels" in said:
            self._judge = Judge(Thresholds(*said["levels"])) if said["levels"] else None

    # looks

    def _look(self) -> None:
        now = time.monotonic()
        used, limit = self._gauge.read()
        self._record["limit"] = limit
        if self._judge is not None:
            level = self._judge.look(now, used, limit)
            if level is not None:
                self._marks.append([round(time.time(), 1), level])
                self._say(level=level, used=used, limit=limit)
            if self._judge.pressed and self._armed and os.getppid() == self._kernel:
                os.kill(self._kernel, SIGNAL)
        if self._due("sample", now, SAMPLE_EVERY_S) and self._record["work"]:
            self._say(sample=[used, limit])
        if self._due("row", now, ROW_EVERY_S):
            self._rows.append([round(time.time(), 1), used, gauges.rss(self._kernel), self._gpu])
        if self._due("count", now, COUNT_EVERY_S):
            self._count(now)
        if self._due("write", now, WRITE_EVERY_S):
            self._write()

    def _due(self, what: str, now: float, every_s: float) -> bool:
        if now < self._next[what]:
            return False
        self._next[what] = now + every_s
        return True

    def _count(self, now: float) -> None:
        kills = gauges.counted(self._kills)
        if gauges.grew(self._kills, kills):
            self._grew_at = now
            self._marks.append([round(time.time(), 1), "the system killed a process for memory"])
        self._kills = self._record["kills"] = kills or self._kills

    def _say(self, **words: Any) -> None:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(sys.stdout.fileno(), json.dumps(words).encode() + b"\n")

    # the end

    def _kernel_ended(self) -> None:
        until = time.monotonic() + STATUS_WITHIN_S
        status = None
        while status is None and time.monotonic() < until and gauges.started(self._kernel) == self._record["started"]:
            status = gauges.wait_status(self._kernel)
            if status is None:
                time.sleep(0.01)  # its threads are still on their way out
        now = time.monotonic()
        self._count(now)
        for_memory = now - self._grew_at < blackbox.SINCE_KILL_S
        if for_memory and (status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)):
            self._end("memory")
        if status is None:
            self._end("unknown")
        elif os.WIFSIGNALED(status):
            self._end("signal", os.WTERMSIG(status))
        else:
            self._end("status" if os.WEXITSTATUS(status) else "clean", os.WEXITSTATUS(status))

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        """A kernel that shuts down ends its children first."""
        self._end("clean")

    def _end(self, how: str, number: int = 0) -> None:
        self._record["end"] = {"how": how, "number": number, "at": time.time()}
        if how != "clean" or self._box.parent.exists():  # what was said of kernels before is over then
            self._write()
        sys.exit(0)

    def _write(self) -> None:
        self._record |= {"written": time.time(), "series": list(self._rows), "marks": list(self._marks)}
        blackbox.write(self._box, self._record)


def main(told: str) -> None:
    """Entry of the process; an error is said to the kernel, which then watches by itself."""
    sentinel = Sentinel(json.loads(told))
    try:
        sentinel.run()
    except Exception as error:
        sentinel._say(failed=f"{type(error).__name__}: {error}")
        raise
