from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from colab_guard.errors import BadCell, BadOption
from colab_guard.events import Event, EventBus, HeartbeatSent, WorkEnded, WorkStarted
from colab_guard.session import CheckpointOptions, Guard, Session, current, words, work
from colab_guard.session.status import WorkStatus


class FakePanel:
    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def show(self, *, live: bool = True) -> None:
        self._calls.append("show")

    def freeze(self) -> None:
        self._calls.append("freeze")

    def text(self) -> str:
        return ""

    def close(self) -> None:
        self._calls.append("close")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def session(events: list[Event]) -> Any:
    made = Session(bus=EventBus(synchronous=True))
    made.bus.subscribe(lambda event, at: events.append(event))
    yield made
    made.close()


def test_plain_work_has_begun_before_its_first_sign_of_life(session: Any, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.keepalive, "work_started", lambda name, **more: session.bus.post(HeartbeatSent(name=name)))
    with work("a", session=session):
        assert events == [WorkStarted(name="a", saves=False), HeartbeatSent(name="a")]


def test_the_same_session_is_given_until_it_is_closed() -> None:
    first = current()
    assert current() is first
    first.close()
    second = current()
    assert second is not first
    second.close()


def test_making_and_closing_a_session_starts_no_thread_and_writes_nothing(home: Path) -> None:
    before = threading.active_count()
    session = Session()
    session.close()
    session.close()
    assert threading.active_count() == before
    assert not home.exists()


def test_work_is_guarded_from_beginning_to_end(session: Session, events: list[Event]) -> None:
    calls: list[str] = []
    session.panel_factory = lambda session: FakePanel(calls)
    with work("a", session=session):
        assert session.work is not None
        assert calls == ["show"]
    assert session.work is None
    assert calls == ["show", "freeze"]
    assert [e for e in events if isinstance(e, WorkStarted | WorkEnded)] == [
        WorkStarted(name="a", saves=False),
        WorkEnded(name="a", outcome="done"),
    ]


IN_PLAIN_WORK = """
import sys
import colab_guard
from colab_guard.events import EventBus, UnitStarted
from colab_guard.session import Session, work

token = "hf_" + "a" * 34
session = Session(bus=EventBus(synchronous=True))
told = []
session.bus.subscribe(lambda event, at: told.append(repr(event)))
assert "colab_guard.state" not in sys.modules
try:
    with work("plain", session=session):
        session.bus.post(UnitStarted(sweep="s", index=0, total=1, label="x", params={"auth": token, "more": {"deep": [token]}}))
        raise RuntimeError(f"401 for {token}")
except RuntimeError:
    pass
session.close()
text = " ".join(told)
assert "401 for (secret)" in text and text.count("(secret)") == 3 and token not in text, text
assert "torch" not in sys.modules
"""


def test_secrets_are_taken_out_of_what_plain_work_tells_in_a_fresh_process(tmp_path: Path) -> None:
    environment = {**os.environ, "COLAB_GUARD_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", IN_PLAIN_WORK], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr


def test_an_error_in_guarded_work_passes_through_and_ends_it(session: Session, events: list[Event]) -> None:
    with pytest.raises(ZeroDivisionError), work("a", session=session):
        _ = 1 / 0
    assert session.work is None
    ended = [e for e in events if isinstance(e, WorkEnded)]
    assert [(e.outcome, e.reason) for e in ended] == [("failed", "ZeroDivisionError: division by zero")]


def test_a_second_piece_of_guarded_work_is_refused_and_the_first_goes_on(session: Session) -> None:
    with work("a", session=session) as first:
        with pytest.raises(BadOption, match="'a' is running"), work("b", session=session):
            pass
        assert session.work is first


def test_requests_reach_the_running_work_and_are_false_without_one(session: Session) -> None:
    assert not session.request_stop()
    assert not session.request_commit()
    with work("a", session=session), pytest.raises(BadOption, match="no safe points"):
        session.request_stop()


def test_a_session_is_taken_back_in_reverse_order(session: Session) -> None:
    calls: list[str] = []
    session.panel_factory = lambda session: FakePanel(calls)
    session.keepalive.on(60)
    keepalive = session.keepalive
    session.show_panel()
    session.close()
    assert calls[-1] == "close"
    assert not keepalive.in_force


def test_the_twins_take_the_magics_words_and_give_their_line(session: Session) -> None:
    guard = Guard(lambda: session)
    assert repr(guard.keepalive(every="2m")).startswith("keep-alive: on, every 120 s")
    assert "none is running" in str(guard.status())
    assert str(guard.off()).startswith("keep-alive and memory guard: off")
    assert not session.keepalive.in_force


@pytest.mark.parametrize(
    ("words_given", "error"),
    [
        ({"name": "../up", "source": "1"}, BadOption),
        ({"name": "", "source": "1"}, BadOption),
        ({"name": "a", "source": " "}, BadCell),
        ({"name": "a", "source": "x ="}, BadCell),
        ({"name": "a", "source": "1", "budget": "150%"}, BadOption),
        ({"name": "a", "source": "1", "overlap": "most"}, BadOption),
    ],
)
def test_the_twin_of_checkpointed_refuses_before_anything_is_written(
    words_given: dict[str, Any], error: type[Exception], session: Session, home: Path
) -> None:
    with pytest.raises(error) as caught:
        Guard(lambda: session).checkpointed(**words_given)
    assert "\n" not in str(caught.value)
    assert not home.exists()


def test_the_status_tells_how_the_running_cell_stands() -> None:
    status = WorkStatus("a", "0-1-x", "item 3", 4, ("2 times: live graph",), 0.004, 60.0, "off", 0.004)
    said = str(status)
    assert "saved item 3 (4 snapshots so far)" in said
    assert "not saved 2 times: live graph" in said
    assert "\n" not in said
    assert "NOT SAVED" in str(replace(status, saved=None))


def test_the_twins_options_are_those_of_the_guarded_cell(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[CheckpointOptions] = []
    monkeypatch.setattr(Session, "run_checkpointed", lambda self, name, source, options: seen.append(options))
    Guard(lambda: session).checkpointed("a", "await f()", every=30, budget=0.02, keep=["x"], mirror_every="auto")
    assert seen == [CheckpointOptions(every_s=30.0, budget=0.02, keep=("x",))]


@pytest.mark.parametrize(
    ("value", "expected"), [(60, 60), ("60", 60), ("60s", 60), ("2m", 120), ("1h", 3600), ("1.5h", 5400), (".5", 0.5)]
)
def test_durations(value: float | str, expected: float) -> None:
    assert words.seconds(value, "--every") == expected


@pytest.mark.parametrize("value", ["", "0", "-1", "1d", "nan", "inf", "60 s s", 0])
def test_what_is_no_duration_is_a_clear_line(value: float | str) -> None:
    with pytest.raises(BadOption, match="is not a duration"):
        words.seconds(value, "--every")


@pytest.mark.parametrize(
    ("value", "expected"), [(0.85, 0.85), ("0.85", 0.85), ("85%", 0.85), ("1%", 0.01), ("1", 1.0), ("100 %", 1.0)]
)
def test_fractions(value: float | str, expected: float) -> None:
    assert words.fraction(value, "%memguard", "%memguard 0.85") == pytest.approx(expected)


@pytest.mark.parametrize("name", ["a", "lora-39", "a.b_c-1", "7"])
def test_names_that_are_safe_as_folders(name: str) -> None:
    assert words.work_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "-a", ".runs", "a b", "ä", "a\n", "a.", "x" * 101])
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(BadOption, match="cannot be a NAME"):
        words.work_name(name)
