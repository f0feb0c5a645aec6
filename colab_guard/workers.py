"""Threads and processes with an owner: named, stopped in reverse order with a deadline, and disarmed in a forked child.

Every background thread and process of the project is started by a `Workers`. A call that may hang for ever (a mount, a network
file system) runs through `Workers.call`, which gives up waiting after its time limit and leaves the call behind.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from colab_guard.clock import Clock, SystemClock

T = TypeVar("T")

STOP_DEADLINE_S = 5.0


class Abandoned(TimeoutError):
    """A call ran past its time limit and was left behind; it may still be running."""


class Worker:
    """One thread and the event that asks it to stop."""

    def __init__(self, name: str, target: Callable[[threading.Event], None], on_error: Callable[[str, BaseException], None]) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._target = target
        self._on_error = on_error
        self.thread = threading.Thread(target=self._run, name=f"colab_guard-{name}", daemon=True)

    def _run(self) -> None:
        try:
            self._target(self.stopping)
        except BaseException as error:
            self._on_error(self.name, error)
        finally:
            del self._target  # what it worked on is not held by a thread that has ended


class Workers:
    """Owns threads and processes: `start`, `periodic`, `call`, `process`, and `stop` for all of them."""

    def __init__(self, clock: Clock | None = None, on_error: Callable[[str, BaseException], None] | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self._on_error = on_error or self._remember
        self._workers: list[Worker] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._pid = os.getpid()
        self.errors: list[tuple[str, BaseException]] = []

    @property
    def disarmed(self) -> bool:
        """True in a forked child: threads did not come along, and nothing may be committed, held or sent there."""
        return os.getpid() != self._pid

    def start(self, name: str, target: Callable[[threading.Event], None]) -> Worker:
        """Start `target(stopping)` in a daemon thread; it should return soon after `stopping` is set."""
        worker = Worker(name, target, self._on_error)
        if not self.disarmed:
            self._workers = [w for w in self._workers if w.thread.is_alive()]
            self._workers.append(worker)
            worker.thread.start()
        return worker

    def periodic(self, name: str, every_s: float, action: Callable[[], None]) -> Worker:
        """Call `action` every `every_s` seconds until stopped; an error in it is reported and the next turn comes."""

        def turn(stopping: threading.Event) -> None:
            while not self.clock.wait(stopping, every_s):
                try:
                    action()
                except Exception as error:
                    self._on_error(name, error)

        return self.start(name, turn)

    def child(
        self, command: Sequence[str], *, environment: Mapping[str, str], descriptors: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a process in a group of its own, which the caller waits for; with pipes for its input, output and errors.

        Signals for this process's group (a notebook's interrupt) do not reach it: the caller passes on what is meant for it.
        """
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, pass_fds=descriptors, start_new_session=True, bufsize=0
        )

    def call(
        self, name: str, function: Callable[[], T], timeout_s: float, *, moved_at: Callable[[], float] | None = None
    ) -> T:
        """Run `function` in a thread of its own and give its result; raise `Abandoned` after `timeout_s` seconds.

        `moved_at` tells when it last got on (`time.monotonic`): the seconds count from then.
        """
        box: list[T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                box.append(function())
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=run, name=f"colab_guard-{name}", daemon=True)
        thread.start()
        thread.join(timeout_s)
        while moved_at is not None and thread.is_alive() and (left := moved_at() + timeout_s - time.monotonic()) > 0:
            thread.join(left)
        if failure:
            raise failure[0]
        if not box:
            raise Abandoned(f"{name} did not answer within {timeout_s:g} s")
        return box[0]

    def process(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, with pipes to its input and from its output; it ends when its input does."""
        made = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, bufsize=0
        )
        self._processes.append(made)
        return made

    def end_process(self, process: subprocess.Popen[bytes], deadline_s: float = STOP_DEADLINE_S) -> None:
        """Close the input of `process` and wait for its end; kill it where that does not come."""
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        if process in self._processes:
            self._processes.remove(process)

    def failed(self, name: str, error: BaseException) -> None:
        """Report an error of something that goes on."""
        self._on_error(name, error)

    def stop_one(self, worker: Worker, deadline_s: float = STOP_DEADLINE_S) -> bool:
        """Ask `worker` to stop and wait for it; say whether it did."""
        worker.stopping.set()
        if worker.thread.is_alive() and worker.thread is not threading.current_thread():
            worker.thread.join(deadline_s)
        if worker in self._workers:
            self._workers.remove(worker)
        return not worker.thread.is_alive()

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> list[str]:
        """Stop all, the newest first; give the names of those threads that did not end in time."""
        for process in reversed(list(self._processes) if not self.disarmed else []):
            self.end_process(process, deadline_s)
        return [w.name for w in reversed(list(self._workers)) if not self.stop_one(w, deadline_s)]

    def _remember(self, name: str, error: BaseException) -> None:
        self.errors.append((name, error))
        del self.errors[:-20]
