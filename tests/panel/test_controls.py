"""What a page may ask for, and what is dropped."""

from __future__ import annotations

from typing import Any

import pytest

from colab_guard.clock import FakeClock
from colab_guard.events import EventBus, StopRequested, SweepStarted, WorkEnded, WorkStarted
from colab_guard.panel import Panel
from colab_guard.panel.surfaces import Surface
from colab_guard.workers import Workers
from tests.panel.story import NAME, Drawn


class Asked:
    """A panel, what it was asked, and the way in that its surface got."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.clock = FakeClock(1_700_000_000.0)
        workers = Workers(self.clock)
        self.bus = EventBus(workers, self.clock, synchronous=True)
        self.hear: Any = None
        self.panel = Panel(None, self.bus, self.clock, workers, surface=self._surface, ask=self._ask)
        self.panel.show()

    def _surface(self, shell: object, hear: Any) -> Surface:
        self.hear = hear
        drawn = Drawn()
        drawn.live = False
        return drawn

    def _ask(self, word: str) -> str:
        self.words.append(word)
        return f"{word} heard"

    def begin(self) -> float:
        self.bus.post(WorkStarted(name=NAME))
        return self.clock.time()


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_what_a_page_asks_is_done_and_answered_with_its_id(asked: Asked) -> None:
    started = asked.begin()
    assert asked.hear({"ask": "stop", "id": 7, "started": started}) == {"id": 7, "said": "stop heard"}
    assert asked.words == ["stop"]


@pytest.mark.parametrize("content", [{}, {"ask": "explode", "id": 1}, {"id": 1}, {"ask": ["stop"], "id": 1}])
def test_a_foreign_message_does_nothing(asked: Asked, content: dict[str, object]) -> None:
    started = asked.begin()
    assert asked.hear({**content, "started": started}) is None
    assert asked.words == []


def test_a_message_that_comes_when_its_work_is_over_does_nothing_to_the_next(asked: Asked) -> None:
    started = asked.begin()
    asked.bus.post(WorkEnded(name=NAME, outcome="done"))
    assert asked.hear({"ask": "stop", "id": 1, "started": started}) is None
    asked.clock.advance(5)
    asked.begin()
    assert asked.hear({"ask": "stop", "id": 1, "started": started}) is None
    assert asked.words == []


def test_a_page_is_offered_what_can_be_asked_with_the_words_that_work_without(asked: Asked) -> None:
    assert asked.panel.view().asks == ()
    asked.begin()
    assert [(word, label) for word, label, _ in asked.panel.view().asks] == [
        ("stop", "stop at the next safe point"),
        ("commit", "commit now"),
    ]
    asked.bus.post(SweepStarted(sweep=NAME, total=3, done=0, failed=0))
    _, label, instead = asked.panel.view().asks[0]
    assert label == "stop after this model"
    assert f"colab-guard stop {NAME}" in instead and "interrupt" in instead
    assert asked.panel.runs_sweep
    asked.bus.post(SweepStarted(sweep=NAME, total=3, done=2, failed=1))  # what comes after the last run has no end of its own
    assert asked.panel.view().asks[0][1] == "stop at the next safe point"
    assert not asked.panel.runs_sweep


def test_a_stop_that_was_asked_for_is_shown_and_not_offered_again(asked: Asked) -> None:
    asked.begin()
    asked.bus.post(StopRequested(name=NAME, by="panel", after_unit=True))
    view = asked.panel.view()
    assert (view.phase, view.asks) == ("stopping after this model", ())
    assert view.events[-1].text == "Stop asked for (panel): stops after this model"
