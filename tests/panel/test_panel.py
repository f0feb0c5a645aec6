"""When the panel draws, and on what."""

from __future__ import annotations

import builtins
import math
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from traitlets import TraitError

from colab_guard.clock import SystemClock
from colab_guard.events import EventBus, StepDone, WorkEnded, WorkStarted
from colab_guard.panel import Panel
from colab_guard.panel.surfaces import HtmlSurface, Surface, TerminalSurface, WidgetSurface, choose
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


def test_without_news_it_draws_once_in_ten_seconds_so_that_silence_means_a_cut(story: Story) -> None:
    drawn = shown(story)
    for _ in range(100):
        tick(story, 1, news=False)
    assert 9 <= drawn.names.count("update") <= 11


def test_what_a_surface_could_not_tell_at_once_is_told_at_the_next_turns(story: Story) -> None:
    drawn = shown(story)
    left = iter([False, False, True])
    tell = drawn.update
    drawn.update = lambda view: tell(view) and next(left)  # type: ignore[method-assign]
    tick(story, 1)
    for _ in range(5):
        tick(story, 1, news=False)
    assert drawn.names.count("update") == 3


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


def test_where_no_work_runs_no_thread_waits_for_news(story: Story) -> None:
    story.panel.show(live=False)
    assert story.panel._ticker is None and story.drawn[0].names == ["show"]
    story.panel.show()
    assert story.panel._ticker is not None and story.drawn[0].names == ["show", "freeze"]
    story.panel.close()


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


def test_a_view_that_cannot_be_made_is_told_once_and_the_next_is_drawn(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = shown(story)
    with monkeypatch.context() as broken:
        broken.setattr("colab_guard.panel.panel.compose", lambda state, now: math.sqrt(-1))
        for _ in range(3):
            tick(story, 1)
    assert [(who, type(error)) for who, error in story.workers.errors] == [("panel", ValueError)]
    tick(story, 1)
    assert drawn.names == ["show", "update"]


@pytest.mark.parametrize("fails", ["made", "shown"])
def test_a_widget_that_is_refused_leaves_the_cell_its_html(fails: str, capsys: pytest.CaptureFixture[str]) -> None:
    story = Story()

    class Refused(Drawn):
        def show(self, view: object) -> None:
            raise TraitError("the comm was refused")

    def choose_refused(shell: object, hear: object) -> Surface:
        if fails == "made":
            raise TraitError("no such trait")
        return Refused()

    panel = Panel(None, story.bus, story.clock, story.workers, surface=choose_refused)
    panel.show()
    assert isinstance(panel._surface, HtmlSurface)
    assert "panel had an error; the work goes on: TraitError" in panel.state.events[-1].text
    panel.close()


def test_where_nothing_can_be_drawn_the_work_begins_without_a_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object) -> Surface:
        raise OSError("no output")

    monkeypatch.setattr("colab_guard.panel.panel.HtmlSurface", broken)
    story = Story()
    panel = Panel(None, story.bus, story.clock, story.workers, surface=broken)
    panel.show()
    panel.tick()
    panel.close()
    assert len(panel.state.events) == 2


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
    assert out[0].startswith("▶ lora-39: running for 0 s, 0 of 39 models; NOT SAVED")
    assert out[1].startswith("✓ lora-39: done after 2 s, 1 of 39 models; saved 0 s ago")


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
