from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from colab_guard.clock import FakeClock
from colab_guard.events import Event, EventBus, HeartbeatLost, HeartbeatSent, HostLimitNear, ListenerFailed, PingHeard
from colab_guard.hosts.rules import RULES
from colab_guard.keepalive import KeepAlive, signs
from colab_guard.keepalive.notify import Address, Notifier
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

    def __init__(self, every_s: float, hear: Any, status: str, **traits: Any) -> None:
        self.hear, self.status, self.words, self.traits = hear, status, "", traits
        self.last: float | None = None
        self.beats = 0
        self.gone = False
        self.told: list[tuple[str, str]] = []
        FakeConnection.made.append(self)

    def show(self) -> None: ...

    def heartbeat(self, at: float) -> None:
        self.last = at
        self.beats += 1

    def news(self, title: str, text: str) -> None:
        assert not self.gone, "nothing is said in a widget that was let go"
        self.told.append((title, text))

    def say(self, words: str) -> None:
        self.words = words

    def close(self, words: str) -> None:
        self.words = words

    def dispose(self) -> None:
        assert self.words, "closed before it is let go"
        self.gone = True


class CountingClock(FakeClock):
    """Counts by thread how often it has come to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: dict[str, int] = {}

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        until, name = self._now + timeout_s, threading.current_thread().name
        self.waits[name] = self.waits.get(name, 0) + 1
        with self._moved:
            while not event.is_set() and self._now < until:
                self._moved.wait(0.005)
        return event.is_set()


class Stage:
    """A KeepAlive on a fake clock; what it published, and the events it posted."""

    def __init__(self, kind: str = "colab", began_s_ago: float = 0.0, commit: Any = None) -> None:
        self.clock = CountingClock()
        self.workers = Workers(self.clock)
        self.bus = EventBus(self.workers, self.clock, synchronous=True)
        self.events: list[Event] = []
        self.bus.subscribe(lambda event, at: self.events.append(event))
        rules = RULES[kind]  # type: ignore[index]
        host: Any = SimpleNamespace(kind=kind, label=rules.label, idle_rule=rules.idle.words, limits=rules.limits, rules=rules)
        began = self.clock.time() - began_s_ago
        self.keepalive = KeepAlive(
            object(), self.bus, self.clock, self.workers, host, commit=commit or (lambda: False), started=lambda: began
        )

    def threads(self) -> list[str]:
        return [worker.name for worker in self.workers._workers if worker.thread.is_alive()]

    def turn(self, thread: str, seconds: float) -> None:
        """Let `seconds` pass for a thread that waits so long, and wait until it has done its turn."""
        name = f"colab_guard-{thread}"
        wait_for(lambda: self.clock.waits.get(name, 0) > 0)
        before = self.clock.waits[name]
        self.clock.advance(seconds)
        wait_for(lambda: self.clock.waits[name] > before)

    def seen(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def wait_for(condition: Any, limit_s: float = 30.0) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.002)


@pytest.fixture
def comms(monkeypatch: pytest.MonkeyPatch) -> list[FakeComm]:
    made: list[FakeComm] = []

    def open_comm(shell: object) -> FakeComm:
        made.append(FakeComm())
        return made[-1]

    FakeConnection.made.clear()
    monkeypatch.setattr(signs, "open_comm", open_comm)
    monkeypatch.setattr(signs, "hears_while_busy", lambda: True)
    monkeypatch.setitem(sys.modules, "colab_guard.keepalive.connection", SimpleNamespace(Connection=FakeConnection))  # type: ignore[arg-type]
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
    assert sorted(stage.threads()) == ["connection beat", "connection check", "heartbeat", "host limit"]
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
    stage.keepalive._signs.check()
    assert stage.seen(HeartbeatLost) == 0, "what was never heard cannot be lost"
    ping = {"type": "ping", "id": 1, "sent_ms": stage.clock.time() * 1000}
    answer = FakeConnection.made[0].hear(ping)
    assert (answer["type"], answer["id"]) == ("pong", 1)
    assert stage.seen(PingHeard) == 1
    stage.clock._now += 121
    stage.keepalive._signs.check()
    stage.keepalive._signs.check()
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


@pytest.mark.parametrize("ahead_s", [0, 3600, -3600])
def test_the_age_of_a_ping_does_not_depend_on_the_browsers_clock(ahead_s: float) -> None:
    pings, began = Pings(60), 10_000_000.0

    def ping(sent: float) -> dict[str, object]:
        return {"type": "ping", "id": 1, "sent_ms": (sent + ahead_s) * 1000, "beat": sent - 4, "beat_ago_ms": 4000}

    assert pings.hear(ping(began), began + 1) is not None
    # a long cell: the oldest arrives first, with all the others
    heard = [pings.hear(ping(began + 60 * n), began + 6000) for n in range(1, 101)]
    assert sum(answer is not None for answer in heard) == 3 and pings.heard.stale == 97


@pytest.mark.parametrize("content", [{}, {"type": "other"}, {"type": "ping"}, {"type": "ping", "sent_ms": "x"}])
def test_messages_that_are_no_pings_are_not_answered(content: dict[str, object]) -> None:
    assert Pings(60).hear(content, 0.0) is None


def test_on_colab_it_never_claims_to_extend_the_limits() -> None:
    said = str(Stage("colab").keepalive.status())
    assert "Nothing inside the machine can extend Colab's limits" in said


def test_a_heartbeat_that_cannot_begin_is_said_and_never_stops_the_work(
    comms: list[FakeComm], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **traits: object) -> object:
        raise FileNotFoundError("connection.js")

    monkeypatch.setitem(sys.modules, "colab_guard.keepalive.connection", SimpleNamespace(Connection=fail))  # type: ignore[arg-type]
    stage = Stage()
    stage.keepalive.on()
    stage.keepalive.work_started("a")
    assert "FileNotFoundError: connection.js" in str(stage.keepalive.status())
    assert stage.seen(ListenerFailed) == 1
    assert sorted(stage.threads()) == ["connection check", "heartbeat", "host limit"]
    stage.turn("heartbeat", 60)
    assert [sent["beat"] for sent in comms[0].sent] == [1, 2], "the kernel's heartbeat needs no widget"
    stage.keepalive.work_ended()
    assert comms[0].closed and stage.threads() == []


def test_a_widget_that_cannot_be_closed_leaves_no_comm_open(comms: list[FakeComm], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, words: str) -> None:
        raise RuntimeError("the comm is gone")

    monkeypatch.setattr(FakeConnection, "close", fail)
    stage = Stage()
    stage.keepalive.on()
    stage.keepalive.work_started("a")
    stage.keepalive.work_ended()
    assert comms[0].closed and stage.threads() == [] and "the comm is gone" in str(stage.keepalive.status())


def test_an_interrupt_while_the_end_is_told_leaves_nothing_running(comms: list[FakeComm], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: object, limit_s: float = 0) -> bool:
        raise KeyboardInterrupt

    stage = Stage()
    stage.keepalive.on()
    stage.keepalive._messages.notifier = Notifier(Address("https://x/y", "https://x/…", False), stage.workers, lambda to, news: None)
    stage.keepalive.work_started("a")
    monkeypatch.setattr(Notifier, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage.keepalive.work_ended()
    assert comms[0].closed and not stage.keepalive.status().active
    assert stage.keepalive.release._ended["a"].outcome == "done" and not stage.keepalive.release._running
    monkeypatch.undo()
    stage.workers.stop()
    assert stage.threads() == []


@pytest.mark.parametrize("broken", ["work_started", "work_ended"])
def test_a_release_that_fails_never_stops_the_work(comms: list[FakeComm], monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def fail(*given: object) -> None:
        raise OSError("no thread can be started")

    stage = Stage()
    stage.keepalive.on()
    monkeypatch.setattr(stage.keepalive.release, broken, fail)
    stage.keepalive.work_started("a")
    stage.keepalive.work_ended()
    assert comms[0].closed and stage.seen(ListenerFailed) == 1


def test_signs_that_the_user_ends_or_begins_anew_are_not_said_to_have_ended_with_the_work(comms: list[FakeComm]) -> None:
    stage = Stage()
    stage.keepalive.on()
    stage.keepalive.work_started("a")
    stage.keepalive.on(30)
    assert FakeConnection.made[0].words == "keep-alive: 1 heartbeats sent; begun anew by %keepalive."
    stage.keepalive.off()
    assert FakeConnection.made[1].words.startswith("keep-alive: 1 heartbeats sent; ended by %keepalive off.")


def test_in_a_terminal_nothing_is_sent_and_that_is_said() -> None:
    stage = Stage("terminal")
    stage.keepalive.on()
    stage.keepalive.work_started("a")
    assert "a terminal" in str(stage.keepalive.status())
    assert (stage.events, stage.threads()) == ([], [])
    stage.keepalive.work_ended()


def test_the_page_is_shown_life_each_ten_seconds_and_the_host_each_minute(comms: list[FakeComm]) -> None:
    stage = Stage("jupyterlab")
    stage.keepalive.on(60)
    stage.keepalive.work_started("a")
    connection = FakeConnection.made[0]
    for _ in range(6):
        before = connection.beats
        stage.turn("connection beat", 10)
        assert connection.beats > before
    wait_for(lambda: len(comms[0].sent) == 2)
    assert connection.beats >= 7 and connection.last == stage.clock.time()
    stage.keepalive.work_ended()


def test_the_widget_says_how_to_go_on_and_tells_the_page_only_where_that_was_asked_for(comms: list[FakeComm]) -> None:
    stage = Stage()
    stage.keepalive.on()
    stage.keepalive.work_started("lora", saves=True)
    assert "lora goes on from its last commit" in FakeConnection.made[0].traits["resume"]
    assert (FakeConnection.made[0].traits["nonce"], FakeConnection.made[0].traits["page"]) == ("", "")
    stage.keepalive.work_ended()
    script = stage.keepalive.page_script()
    stage.keepalive.work_started("plain", saves=False)
    assert "saves nothing" in FakeConnection.made[1].traits["resume"]
    nonce = FakeConnection.made[1].traits["nonce"]
    assert len(nonce) == 32 and nonce in script
    assert FakeConnection.made[1].traits["page"] == "https://colab.research.google.com"
    stage.keepalive.work_ended()


def test_the_status_shows_the_browsers_round_trip(comms: list[FakeComm]) -> None:
    stage = Stage()
    stage.keepalive.on()
    stage.keepalive.work_started("a")
    FakeConnection.made[0].hear({"type": "ping", "id": 2, "sent_ms": stage.clock.time() * 1000, "round_trip_ms": 12})
    assert "browser heard 0 s ago, round trip 12 ms" in str(stage.keepalive.status())
    stage.keepalive.work_ended()


def test_before_the_hosts_limit_a_commit_is_asked_for_twice_and_that_is_told(comms: list[FakeComm]) -> None:
    asked: list[float] = []
    stage = Stage(began_s_ago=12 * 3600 - 630, commit=lambda: asked.append(stage.clock.time()) is None)
    stage.keepalive.on()
    stage.keepalive.work_started("a")
    for _ in range(24):
        stage.turn("host limit", 30)
    near = [event for event in stage.events if isinstance(event, HostLimitNear)]
    assert [(event.left_s <= 600, event.limit_s) for event in near] == [(True, 12 * 3600.0)] * 2
    assert near[0].left_s > 500 and near[1].left_s <= 120
    assert len(asked) == 2 and [(event.whose, event.asked) for event in near] == [("without a subscription, and at most", True)] * 2
    assert all("may end this machine in" in text and "a commit was asked for" in text for _, text in FakeConnection.made[0].told)
    stage.keepalive.work_ended()


def test_where_the_limit_has_passed_or_is_not_known_nothing_is_asked_for(comms: list[FakeComm]) -> None:
    for stage in (Stage(began_s_ago=13 * 3600), Stage("jupyterlab")):
        stage.keepalive.on()
        stage.keepalive.work_started("a")
        stage.keepalive.work_ended()
        assert stage.seen(HostLimitNear) == 0


@pytest.mark.parametrize(
    ("error", "outcome"), [(None, "done"), (ValueError("no such column"), "failed"), (KeyboardInterrupt(), "stopped")]
)
def test_the_browser_is_told_how_the_work_ended_before_the_widget_is_closed(
    comms: list[FakeComm], error: BaseException | None, outcome: str
) -> None:
    stage = Stage()
    stage.keepalive.on()
    stage.keepalive.work_started("lora")
    stage.keepalive.work_ended(error)
    title, text = FakeConnection.made[0].told[-1]
    assert title == f"lora: {outcome}" and text.startswith(f"{outcome} after 0 s on Google Colab")
    assert ("no such column" in text) == (outcome == "failed")


def test_what_needs_a_person_before_work_or_after_it_goes_to_the_widget_that_is_left(comms: list[FakeComm]) -> None:
    stage = Stage()
    stage.keepalive.on()
    stage.keepalive.needs_you("lora", "nobody can hear this yet")
    stage.keepalive.work_started("lora")
    stage.keepalive.work_ended()
    (left,) = FakeConnection.made
    stage.keepalive.needs_you("lora", "InputChanged: rate: 0.1 → 0.2")
    stage.keepalive._released(False, "The machine is KEPT: lora failed.")
    assert left.told[1:] == [
        ("lora needs you", "InputChanged: rate: 0.1 → 0.2"),
        ("colab_guard needs you", "The machine is KEPT: lora failed."),
    ]
    stage.keepalive.off()
    stage.keepalive.needs_you("lora", "nobody asked to be told")
    assert len(left.told) == 3


def test_the_widget_stays_for_a_page_that_is_loaded_again_until_the_next_work_or_off(comms: list[FakeComm]) -> None:
    stage = Stage()
    stage.keepalive.on()
    for _ in range(2):
        stage.keepalive.work_started("lora")
        stage.keepalive.work_ended()
    first, second = FakeConnection.made
    assert (first.gone, second.gone) == (True, False)
    stage.keepalive.off()
    assert second.gone
