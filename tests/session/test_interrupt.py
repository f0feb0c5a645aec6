"""The interrupt handler by itself: what one press does, and two, and that the old handler is always back."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from colab_guard.events import EventBus
from colab_guard.session import interrupt
from colab_guard.session.interrupt import Interrupts
from colab_guard.workers import Workers


class Engine:
    name = "work"
    saved = None
    hopeless: str | None = None
    refused_last: str | None = None

    def __init__(self) -> None:
        self.stop: str | None = None

    def request_stop(self, by: str) -> None:
        self.stop = by

    def take_back_stop(self) -> None:
        self.stop = None


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def wait_for(self, count: int) -> None:
        until = time.monotonic() + 10
        while len(self.lines) < count and time.monotonic() < until:
            time.sleep(0.005)
        assert len(self.lines) >= count, self.lines


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(interrupt, "PATIENCE_S", 0.2)
    return Told()


@pytest.fixture
def made(told: Told) -> Iterator[Callable[..., Interrupts]]:
    workers = Workers()

    def make(engine: Engine, none_ahead: Callable[[Any], str | None] = lambda frame: None) -> Interrupts:
        return Interrupts(engine, none_ahead, notes=told, workers=workers, bus=EventBus(synchronous=True))  # type: ignore[arg-type]

    yield make
    assert workers.stop() == []


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_one_press_asks_for_a_stop_and_says_so_and_says_more_when_it_takes_long(made: Callable[..., Interrupts], told: Told) -> None:
    engine = Engine()
    with made(engine):
        press()
        assert engine.stop == "interrupt"
        told.wait_for(2)
    assert told.lines[0].startswith("Finishing the step")
    assert "no safe point has come yet" in told.lines[1] and "interrupt again" in told.lines[1]


def test_the_reason_is_told_where_snapshots_are_refused(made: Callable[..., Interrupts], told: Told) -> None:
    engine = Engine()
    engine.refused_last = "loss has an unspent graph"
    with made(engine):
        press()
        told.wait_for(2)
    assert "loss has an unspent graph" in told.lines[1]


def test_the_second_press_interrupts_and_takes_the_stop_back_and_the_next_is_a_first_one(made: Callable[..., Interrupts]) -> None:
    engine = Engine()
    with made(engine):
        for _ in range(2):
            press()
            assert engine.stop == "interrupt"
            with pytest.raises(KeyboardInterrupt, match="stopped at once"):
                press()
            assert engine.stop is None


def test_where_no_safe_point_lies_ahead_the_first_press_interrupts(made: Callable[..., Interrupts], told: Told) -> None:
    engine = Engine()
    with made(engine, lambda frame: "it was waiting for input"):
        with pytest.raises(KeyboardInterrupt, match="waiting for input"):
            press()
    engine.hopeless = "no safe point could be saved for 20 s"
    with made(engine):
        with pytest.raises(KeyboardInterrupt, match="could be saved for 20 s"):
            press()
    assert engine.stop is None and told.lines == []


def test_a_forked_child_lives_through_the_first_press(made: Callable[..., Interrupts]) -> None:
    with made(Engine()):
        pid = os.fork()
        if pid == 0:
            try:
                press()
                try:
                    press()
                except KeyboardInterrupt:
                    os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_the_old_handler_is_back_after_success_an_error_and_a_press(made: Callable[..., Interrupts]) -> None:
    before = signal.getsignal(signal.SIGINT)
    for error in (None, ValueError, KeyboardInterrupt):
        try:
            with made(Engine()):
                assert signal.getsignal(signal.SIGINT) is not before
                if error is not None:
                    raise error
        except (ValueError, KeyboardInterrupt):
            pass
        assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_installed(made: Callable[..., Interrupts]) -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def run() -> None:
        with made(Engine()):
            seen.append(signal.getsignal(signal.SIGINT) is before)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert seen == [True]
