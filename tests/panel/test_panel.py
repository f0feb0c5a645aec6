"""When the panel draws, and on what."""

from __future__ import annotations

import builtins
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from colab_guard.clock import SystemClock
from colab_guard.events import EventBus, StepDone, WorkEnded, WorkStarted
from colab_guard.panel import Panel
from colab_guard.panel.surfaces import HtmlSurface, TerminalSurface, WidgetSurface, choose
from colab_guard.workers import Workers
from tests.panel.story import NAME, Drawn, Story


@pytest.fixture
def story() -> Story:
    return Story()


def tick(story: Story, seconds: float, news: bool = True) -> None:
    """One turn of the sampler after `seconds`, driven by hand."""
    story.clock.advance(seconds)
    if news:
        story.post(StepDone(step=1))
    story.panel.tick()


def shown(story: Story) -> Drawn:
    # the sampler's own thread stands still here: turns are driven by hand
    story.workers.periodic = lambda name, every_s, action: story.workers.start(name, lambda stopping: None)  # type: ignore[method-assign]
    story.panel.show()
    return story.drawn[-1]


def test_it_draws_at_most_once_a_second_and_only_news(story: Story) -> None:
    drawn = shown(story)
    tick(story, 1)
    tick(story, 0.2)
    tick(story, 0.2)
    assert drawn.names == ["show", "update"]
    tick(story, 0.6)
    tick(story, 5, news=False)
    assert drawn.names == ["show", "update", "update"]


def test_after_ten_minutes_it_draws_once_in_ten_seconds(story: Story) -> None:
    drawn = shown(story)
    story.clock.advance(600)
    for _ in range(100):
        tick(story, 1)
    assert 9 <= drawn.names.count("update") <= 11


def test_freezing_draws_the_last_state_once_and_ends_the_sampler(story: Story) -> None:
    story.panel.show()
    story.post(WorkStarted(name=NAME))
    story.post(WorkEnded(name=NAME, outcome="done"))
    story.panel.freeze()
    story.panel.freeze()
    assert story.drawn[0].names[-1] == "freeze"
    assert story.drawn[0].names.count("freeze") == 1
    assert story.drawn[0].calls[-1][1].phase == "done"
    assert [t.name for t in threading.enumerate() if t.name == "colab_guard-panel"] == []


def test_showing_again_freezes_the_drawing_of_before(story: Story) -> None:
    story.panel.show()
    story.panel.show()
    assert [drawn.names for drawn in story.drawn] == [["show", "freeze"], ["show"]]
    story.panel.close()


def test_a_drawing_that_fails_does_not_fail_the_work(story: Story) -> None:
    drawn = shown(story)

    def broken(view: object) -> None:
        raise ZeroDivisionError

    drawn.freeze = broken  # type: ignore[method-assign]
    story.panel.freeze()
    assert "ZeroDivisionError" in story.panel.text()


def test_closed_it_listens_no_more(story: Story) -> None:
    story.panel.close()
    story.post(WorkStarted(name=NAME))
    assert story.panel.state.name == ""


def test_events_from_many_threads_are_all_counted() -> None:
    clock, workers = SystemClock(), Workers()
    bus = EventBus(workers, clock)
    panel = Panel(None, bus, clock, workers)

    def post_many() -> None:
        for _ in range(50):
            bus.post(WorkStarted(name="x"))

    posters = [threading.Thread(target=post_many) for _ in range(4)]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    assert bus.flush()
    assert panel.model.newest[1] == 200
    workers.stop()


def test_a_terminal_gets_a_line_at_the_beginning_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story()
    panel = Panel(SimpleNamespace(), story.bus, story.clock, story.workers)
    story.begin()
    panel.show()
    story.run(0)
    story.save()
    story.post(WorkEnded(name=NAME, outcome="done"))
    panel.freeze()
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2
    assert out[0].startswith("▶ lora-39: running for 0 s; NOT SAVED")
    assert out[1].startswith("✓ lora-39: done after 2 s; saved 0 s ago")


def test_the_surface_is_the_best_that_the_shell_has(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = SimpleNamespace(kernel=object())
    assert isinstance(choose(None), TerminalSurface)
    assert isinstance(choose(SimpleNamespace()), TerminalSurface)
    assert isinstance(choose(kernel), WidgetSurface)
    real = builtins.__import__

    def without_anywidget(name: str, *rest: Any, **more: Any) -> Any:
        if name == "anywidget":
            raise ImportError("No module named 'anywidget'", name="anywidget")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "colab_guard.panel.widget", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_anywidget)
    assert isinstance(choose(kernel), HtmlSurface)
