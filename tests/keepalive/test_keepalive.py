from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from colab_guard.clock import FakeClock
from colab_guard.events import Event, EventBus, HeartbeatLost, HeartbeatSent, ListenerFailed, PingHeard
from colab_guard.keepalive import KeepAlive, alive
from colab_guard.keepalive.pings import Pings
from colab_guard.workers import Workers


class FakeComm:
    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closed = False

    def send(self, data: Any = None) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True


class FakeConnection:
    made: ClassVar[list[FakeConnection]] = []

    def __init__(self, every_s: float, hear: Any, status: str) -> None:
        self.hear, self.status, self.words = hear, status, ""
        self.last: float | None = None
        FakeConnection.made.append(self)

    def show(self) -> None: ...

    def heartbeat(self, at: float) -> None:
        self.last = at

    def close(self, words: str) -> None:
        self.words = words


class Stage:
    """A KeepAlive on a fake clock; what it published, and the events it posted."""

    def __init__(self, kind: str = "colab") -> None:
        self.clock = FakeClock()
        self.workers = Workers(self.clock)
        self.bus = EventBus(self.workers, self.clock, synchronous=True)
        self.events: list[Event] = []
        self.bus.subscribe(lambda event, at: self.events.append(event))
        host: Any = SimpleNamespace(
            kind=kind, label="Colab", idle_rule="idle after about 90 min", hard_limit_s=None, fast_disk=Path("/")
        )
        self.keepalive = KeepAlive(object(), self.bus, self.clock, self.workers, host)

    def threads(self) -> list[str]:
        return [worker.name for worker in self.workers._workers if worker.thread.is_alive()]

    def seen(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


@pytest.fixture
def comms(monkeypatch: pytest.MonkeyPatch) -> list[FakeComm]:
    made: list[FakeComm] = []

    def open_comm(shell: object) -> FakeComm:
        made.append(FakeComm())
        return made[-1]

    FakeConnection.made.clear()
    monkeypatch.setattr(alive, "open_comm", open_comm)
    monkeypatch.setattr(alive, "hears_while_busy", lambda: True)
    monkeypatch.setattr(alive.importlib, "import_module", lambda name: SimpleNamespace(Connection=FakeConnection))
    return made


def test_nothing_acts_while_no_guarded_work_runs(comms: list[FakeComm]) -> None:
    stage = Stage()
    stage.keepalive.on()
    assert (comms, stage.threads(), stage.events) == ([], [], [])
    assert "nothing acts" in str(stage.keepalive.status())


def test_work_without_keepalive_sends_nothing(comms: list[FakeComm]) -> None:
    stage = Stage()
    stage.keepalive.work_started("a")
    stage.keepalive.work_ended()
    assert (comms, stage.events) == ([], [])


def test_signs_of_life_begin_with_the_work_and_end_with_it(comms: list[FakeComm]) -> None:
    stage = Stage()
    stage.keepalive.on(60)
    stage.keepalive.work_started("a")
    assert len(comms[0].sent) == 1
    assert sorted(stage.threads()) == ["connection check", "heartbeat"]
    stage.keepalive.work_ended()
    assert comms[0].closed
    assert "ended with the work" in FakeConnection.made[0].words
    assert stage.threads() == []
    assert stage.seen(HeartbeatSent) == 1


def test_switched_on_in_the_middle_of_work_it_begins_at_once_and_off_ends_it(comms: list[FakeComm]) -> None:
    stage = Stage()
    stage.keepalive.work_started("a")
    stage.keepalive.on(60)
    assert len(comms) == 1
    stage.keepalive.off()
    assert comms[0].closed
    assert stage.threads() == []
    assert str(stage.keepalive.status()).startswith("keep-alive: off")


def test_a_page_that_was_heard_and_falls_silent_is_lost_once_until_heard_again(comms: list[FakeComm]) -> None:
    stage = Stage()
    stage.keepalive.on(60)
    stage.keepalive.work_started("a")
    stage.keepalive._check()
    assert stage.seen(HeartbeatLost) == 0, "what was never heard cannot be lost"
    ping = {"type": "ping", "id": 1, "sent_ms": stage.clock.time() * 1000}
    answer = FakeConnection.made[0].hear(ping)
    assert (answer["type"], answer["id"]) == ("pong", 1)
    assert stage.seen(PingHeard) == 1
    stage.clock._now += 121
    stage.keepalive._check()
    stage.keepalive._check()
    assert stage.seen(HeartbeatLost) == 1
    assert "browser LOST, last heard 121 s ago" in str(stage.keepalive.status())
    FakeConnection.made[0].hear({**ping, "sent_ms": stage.clock.time() * 1000})
    assert "browser heard 0 s ago" in str(stage.keepalive.status())
    stage.keepalive.off()


def test_pings_that_queued_up_behind_a_long_cell_are_dropped_and_counted() -> None:
    pings = Pings(60)
    now = 10_000_000.0
    answers = [pings.hear({"type": "ping", "id": n, "sent_ms": (now - 60 * n) * 1000}, now) for n in range(360)]
    assert sum(answer is not None for answer in answers) == 3
    assert (pings.heard.count, pings.heard.stale) == (3, 357)


@pytest.mark.parametrize("content", [{}, {"type": "other"}, {"type": "ping"}, {"type": "ping", "sent_ms": "x"}])
def test_messages_that_are_no_pings_are_not_answered(content: dict[str, object]) -> None:
    assert Pings(60).hear(content, 0.0) is None


def test_on_colab_it_never_claims_to_extend_the_limits() -> None:
    said = str(Stage("colab").keepalive.status())
    assert "Nothing inside the machine can extend Colab's limits" in said


def test_a_heartbeat_that_cannot_begin_is_said_and_never_stops_the_work(
    comms: list[FakeComm], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> object:
        raise FileNotFoundError("connection.js")

    monkeypatch.setattr(alive.importlib, "import_module", fail)
    stage = Stage()
    stage.keepalive.on()
    stage.keepalive.work_started("a")
    assert "FileNotFoundError: connection.js" in str(stage.keepalive.status())
    assert stage.seen(ListenerFailed) == 1
    stage.keepalive.work_ended()
    assert comms[0].closed


def test_in_a_terminal_nothing_is_sent_and_that_is_said() -> None:
    stage = Stage("terminal")
    stage.keepalive.on()
    stage.keepalive.work_started("a")
    assert "a terminal" in str(stage.keepalive.status())
    assert (stage.events, stage.threads()) == ([], [])
    stage.keepalive.work_ended()
