"""The two signs of life while work runs: the kernel's heartbeat, and the browser's pings with the widget that sends them.

`begin` and `end` come with guarded work. The widget outlives the work until `let_go`: a page that was loaded again meanwhile asks for
it when the cell has ended.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol

from colab_guard.clock import Clock
from colab_guard.events import EventBus, HeartbeatLost, HeartbeatSent, ListenerFailed, PingHeard
from colab_guard.keepalive.heartbeat import Comm, hears_while_busy, open_comm
from colab_guard.keepalive.pings import Heard, Pings, round_trip_s
from colab_guard.workers import Worker, Workers

BEAT_S = 10.0  # what the page's widget is told more often than the host, so that a loss is seen within 30 s
CHECK_S = 30.0


class Shown(Protocol):
    """The connection widget, as `connection.Connection` is."""

    def show(self) -> None: ...

    def heartbeat(self, at: float) -> None: ...

    def news(self, title: str, text: str) -> None: ...

    def say(self, words: str) -> None: ...

    def close(self, words: str) -> None: ...

    def dispose(self) -> None: ...


class Signs:
    """Signs of life of one kernel; `note` says what is missing. Times since the epoch, or None."""

    def __init__(self, shell: object, bus: EventBus, clock: Clock, workers: Workers) -> None:
        self._shell = shell
        self._bus = bus
        self._clock = clock
        self._workers = workers
        self._name = ""
        self._running: list[Worker] = []
        self._comm: Comm | None = None
        self._left: Shown | None = None
        """The widget of the work before, whose place still shows words."""
        self._pings: Pings | None = None
        self.connection: Shown | None = None
        self.beats = 0
        self.last_beat: float | None = None
        self.note = ""

    @property
    def active(self) -> bool:
        """Whether any are given now."""
        return self._comm is not None or self.connection is not None

    @property
    def page(self) -> Shown | None:
        """The widget that news go to: the one of the running work, else the one that the work before has left."""
        return self.connection or self._left

    @property
    def heard(self) -> Heard | None:
        """The browser's side; None where there is no page to hear from."""
        return self._pings.heard if self._pings else None

    def begin(self, name: str, every_s: float, **traits: str) -> None:
        """Give them every `every_s` seconds from now on; `traits` are the widget's: status, resume, nonce, page."""
        self._name, self.beats, self.last_beat, self.note = name, 0, None, ""
        self.let_go()
        self._comm = open_comm(self._shell)
        if self._comm is None:
            self.note = "No kernel here (a terminal): no heartbeat is needed, none is sent."
            return
        self._beat()
        self._running = [
            self._workers.periodic("heartbeat", every_s, self._beat),
            self._workers.periodic("connection check", min(CHECK_S, every_s), self.check),
        ]
        self._open_connection(every_s, traits)
        self._show_life()
        if self.connection is not None and every_s > BEAT_S:
            self._running.append(self._workers.periodic("connection beat", BEAT_S, self._show_life))

    def end(self, more: str = "", why: str = "ended with the work") -> None:
        """Give none any more; `why`, and `more`, are said beside how many there were."""
        for worker in reversed(self._running):
            self._workers.stop_one(worker)
        self._running = []
        comm, connection = self._comm, self.connection
        self._comm = self.connection = self._pings = None
        try:
            if connection is not None:
                self._left = connection
                connection.close(" ".join(filter(None, [f"keep-alive: {self.beats} heartbeats sent; {why}.", more])))
        finally:
            if comm is not None:
                comm.close()

    def let_go(self) -> None:
        """Let the widget of the work before go, in kernel and page."""
        left, self._left = self._left, None
        if left is not None:
            left.dispose()

    def say(self, words: str) -> None:
        """Put `words` where the widget of the work before was."""
        if self._left is not None:
            self._left.say(f"keep-alive: {words}")

    def check(self) -> None:
        """Post HeartbeatLost, once, when a page that was heard has fallen silent."""
        pings = self._pings
        silent_s = pings.silence(self._clock.time()) if pings is not None else None
        if silent_s is not None:
            self._bus.post(HeartbeatLost(name=self._name, silent_s=silent_s))

    def _open_connection(self, every_s: float, traits: Mapping[str, str]) -> None:
        try:
            module = importlib.import_module("colab_guard.keepalive.connection")
        except ImportError as missing:
            self.note = f"No pings of the browser: {missing.name} is not installed."
            return
        self._pings = Pings(every_s)
        if not hears_while_busy():
            self.note = "This kernel hears the browser only between cells."
        try:
            connection: Shown = module.Connection(every_s, self._hear, beat_s=min(BEAT_S, every_s), **traits)
            connection.show()
        except Exception as error:  # the widget is the smaller of the two signs: the kernel's heartbeat goes on without it
            self._pings = None
            told = f"{type(error).__name__}: {error}"
            self.note = f"No pings of the browser: its widget could not be shown: {told}."
            self._bus.post(ListenerFailed(name=self._name, who="keep-alive's widget", error=told))
            return
        self.connection = connection

    def _beat(self) -> None:
        comm = self._comm
        if comm is None:
            return
        now = self._clock.time()
        comm.send({"beat": self.beats + 1, "at": now})
        self.beats, self.last_beat = self.beats + 1, now
        self._show_life()
        self._bus.post(HeartbeatSent(name=self._name))

    def _show_life(self) -> None:
        connection = self.connection
        if connection is not None:
            connection.heartbeat(self._clock.time())

    def _hear(self, content: Mapping[str, object]) -> dict[str, object] | None:
        pings = self._pings
        if pings is None:
            return None
        answer = pings.hear(content, self._clock.time())
        if answer is not None:
            self._bus.post(PingHeard(name=self._name, round_trip_s=round_trip_s(content)))
        return answer
