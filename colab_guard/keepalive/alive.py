"""`KeepAlive`: what is in force, from `%keepalive` to `%keepalive off`, and the signs of life in between."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from colab_guard.clock import Clock
from colab_guard.events import EventBus, HeartbeatLost, HeartbeatSent, ListenerFailed, PingHeard
from colab_guard.keepalive.heartbeat import Comm, hears_while_busy, open_comm
from colab_guard.keepalive.pings import Heard, Pings, round_trip_s
from colab_guard.workers import Worker, Workers

if TYPE_CHECKING:
    from colab_guard.hosts import Host

HEARTBEAT_S = 60.0  # hosts cull after minutes to hours; the official Colab client refreshes every 60 s too
CHECK_S = 30.0


class _Connection(Protocol):
    def show(self) -> None: ...

    def heartbeat(self, at: float) -> None: ...

    def close(self, words: str) -> None: ...


@dataclass(frozen=True, slots=True)
class KeepAliveStatus:
    """How the signs of life stand; `str()` of it is what `%keepalive` prints. Times since the epoch, or None."""

    on: bool
    active: bool
    every_s: float
    beats: int
    last_beat: float | None
    browser: Heard | None
    now: float
    host_words: str
    note: str = ""

    def __str__(self) -> str:
        if not self.on:
            return f"keep-alive: off. {self.host_words} Switch it on: %keepalive"
        if not self.active:
            said = (
                f"keep-alive: on, every {self.every_s:g} s while guarded work runs; nothing runs now, so nothing acts."
            )
        else:
            said = f"keep-alive: on; kernel heartbeat {_ago(self.last_beat, self.now)} ({self.beats} sent); {self._browser_words()}."
        note = f" {self.note}" if self.note else ""
        return f"{said}{note} {self.host_words} Undo: %keepalive off"

    def _browser_words(self) -> str:
        heard = self.browser
        if heard is None:
            return "no page to hear from"
        stale = f", {heard.stale} late ones dropped" if heard.stale else ""
        return f"browser {'LOST, last heard' if heard.lost else 'heard'} {_ago(heard.last, self.now)}{stale}"


class KeepAlive:
    """Signs of life of one kernel. `on` and `off` are the user's; `work_started` and `work_ended` come with guarded work.

    Safe to call in any order and twice; what is switched on while work runs begins at once.
    """

    def __init__(self, shell: object, bus: EventBus, clock: Clock, workers: Workers, host: Host) -> None:
        self._shell = shell
        self._bus = bus
        self._clock = clock
        self._workers = workers
        self._host = host
        self._every_s = HEARTBEAT_S
        self._on = False
        self._work: str | None = None
        self._running: list[Worker] = []
        self._comm: Comm | None = None
        self._connection: _Connection | None = None
        self._pings: Pings | None = None
        self._beats = 0
        self._last_beat: float | None = None
        self._note = ""

    @property
    def in_force(self) -> bool:
        """Whether `%keepalive` has been said and not taken back."""
        return self._on

    def on(self, every_s: float = HEARTBEAT_S) -> None:
        """Give signs of life every `every_s` seconds, while guarded work runs."""
        self._end()
        self._on, self._every_s = True, every_s
        if self._work is not None:
            self._begin()

    def off(self) -> None:
        """Take it back; publishes nothing any more."""
        self._on = False
        self._end()

    def work_started(self, name: str) -> None:
        """Guarded work begins."""
        self._work = name
        if self._on:
            self._spare_the_work("keep-alive did not begin", self._begin)

    def work_ended(self) -> None:
        """Guarded work has ended: every thread, the comm and the widget with it."""
        self._spare_the_work("keep-alive did not end cleanly", self._end)
        self._work = None

    def status(self) -> KeepAliveStatus:
        """How it stands; reads only."""
        return KeepAliveStatus(
            on=self._on,
            active=self._comm is not None or self._connection is not None,
            every_s=self._every_s,
            beats=self._beats,
            last_beat=self._last_beat,
            browser=self._pings.heard if self._pings else None,
            now=self._clock.time(),
            host_words=self.host_words(),
            note=self._note,
        )

    def host_words(self) -> str:
        """What this host does with idle machines, and what a sign of life can do about it."""
        rule = self._host.idle_rule.rstrip(". ")
        if self._host.kind == "colab":
            return f"{self._host.label}: {rule}. Nothing inside the machine can extend Colab's limits."
        return f"{self._host.label}: {rule}."

    def _spare_the_work(self, what: str, action: Callable[[], None]) -> None:
        # the one place where an error ends here: a sign of life is a courtesy, training goes on without it
        try:
            action()
        except Exception as error:
            self._note = f"{what}: {type(error).__name__}: {error}."
            self._bus.post(ListenerFailed(name=self._work or "", who=what, error=f"{type(error).__name__}: {error}"))

    def _begin(self) -> None:
        self._beats, self._last_beat, self._note = 0, None, ""
        self._comm = open_comm(self._shell)
        if self._comm is None:
            self._note = "No kernel here (a terminal): no heartbeat is needed, none is sent."
            return
        self._open_connection()
        self._beat()
        self._running = [
            self._workers.periodic("heartbeat", self._every_s, self._beat),
            self._workers.periodic("connection check", min(CHECK_S, self._every_s), self._check),
        ]

    def _open_connection(self) -> None:
        try:
            module = importlib.import_module("colab_guard.keepalive.connection")
        except ImportError as missing:
            self._note = f"No pings of the browser: {missing.name} is not installed."
            return
        self._pings = Pings(self._every_s)
        if not hears_while_busy():
            self._note = "This kernel hears the browser only between cells."
        connection: _Connection = module.Connection(self._every_s, self._hear, self.host_words())
        connection.show()
        self._connection = connection

    def _end(self) -> None:
        for worker in reversed(self._running):
            self._workers.stop_one(worker)
        self._running = []
        comm, connection = self._comm, self._connection
        self._comm = self._connection = self._pings = None
        if connection is not None:
            connection.close(f"keep-alive: {self._beats} heartbeats sent; ended with the work.")
        if comm is not None:
            comm.close()

    def _beat(self) -> None:
        comm, connection = self._comm, self._connection
        if comm is None:
            return
        now = self._clock.time()
        comm.send({"beat": self._beats + 1, "at": now})
        self._beats, self._last_beat = self._beats + 1, now
        if connection is not None:
            connection.heartbeat(now)
        self._bus.post(HeartbeatSent(name=self._work or ""))

    def _check(self) -> None:
        pings = self._pings
        silent_s = pings.silence(self._clock.time()) if pings is not None else None
        if silent_s is not None:
            self._bus.post(HeartbeatLost(name=self._work or "", silent_s=silent_s))

    def _hear(self, content: Mapping[str, object]) -> dict[str, object] | None:
        pings = self._pings
        if pings is None:
            return None
        answer = pings.hear(content, self._clock.time())
        if answer is not None:
            self._bus.post(PingHeard(name=self._work or "", round_trip_s=round_trip_s(content)))
        return answer


def _ago(at: float | None, now: float) -> str:
    return "never so far" if at is None else f"{max(0.0, now - at):.0f} s ago"
