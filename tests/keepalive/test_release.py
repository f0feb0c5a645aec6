"""`--release`: the machine is given back when all of it is durable, and kept, with the reason, when anything is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from colab_guard.clock import FakeClock
from colab_guard.events import Event, EventBus, RuntimeReleased
from colab_guard.hosts.fake_colab import FakeColab
from colab_guard.hosts.rules import RULES
from colab_guard.keepalive.release import QUIET_S, Release
from colab_guard.workers import Workers
from tests.keepalive.test_keepalive import CountingClock, wait_for


class Stage:
    """A Release on a fake clock, in a shell of its own, on Colab's imitation."""

    def __init__(self, kind: str = "colab") -> None:
        self.clock: FakeClock = CountingClock()
        self.workers = Workers(self.clock)
        self.events: list[Event] = []
        bus = EventBus(self.workers, self.clock, synchronous=True)
        bus.subscribe(lambda event, at: self.events.append(event))
        self.told: list[tuple[bool, str]] = []
        self.shell: Any = InteractiveShell()
        host: Any = SimpleNamespace(kind=kind, label=RULES[kind].label)  # type: ignore[index]
        self.release = Release(self.shell, host, self.clock, self.workers, bus, lambda gone, words: self.told.append((gone, words)))
        self.shell.user_ns["release"] = self.release

    def cell(self, code: str = "pass") -> None:
        assert self.shell.run_cell(code).success

    def pass_s(self, seconds: float) -> None:
        """Second after second, as far as the countdown's thread keeps up."""
        waits: Any = self.clock.waits  # type: ignore[attr-defined]
        for _ in range(round(seconds)):
            worker = self.release._worker
            if worker is None or not worker.thread.is_alive():
                return
            before = waits.get("colab_guard-release", 0)
            self.clock.advance(1)
            wait_for(lambda before=before, worker=worker: waits.get("colab_guard-release", 0) > before or not worker.thread.is_alive())

    def begin(self) -> None:
        wait_for(lambda: self.clock.waits.get("colab_guard-release", 0) > 0)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def machine() -> Iterator[FakeColab]:
    with FakeColab() as made:
        yield made


def durable() -> str:
    return ""


def ended(stage: Stage, outcome: str = "done", only_here: Callable[[], str] = durable, name: str = "lora") -> None:
    stage.release.work_started()
    stage.release.work_ended(name, outcome, only_here)


def test_when_all_is_durable_and_no_cell_has_run_for_a_minute_the_machine_is_given_back(machine: FakeColab) -> None:
    stage = Stage()
    stage.cell("release.switch_on()")
    ended(stage)
    stage.begin()
    stage.pass_s(QUIET_S - 2)
    assert not machine.unassigned and "is given back" in str(stage.release)
    stage.pass_s(5)
    assert machine.unassigned
    assert stage.events == [RuntimeReleased()] and stage.told == [(True, "The machine was given back.")]


def test_while_a_cell_runs_or_another_begins_the_minute_has_not_begun(machine: FakeColab) -> None:
    stage = Stage()
    stage.cell("release.switch_on()")
    stage.release.work_started()
    stage.shell.events.trigger("pre_run_cell", None)
    stage.release.work_ended("lora", "done", durable)
    stage.begin()
    stage.pass_s(3 * QUIET_S)
    assert not machine.unassigned, "the cell of the work itself still runs"
    stage.shell.events.trigger("post_run_cell", None)
    stage.pass_s(QUIET_S - 5)
    stage.cell("1 + 1")
    stage.release.work_started()
    stage.pass_s(2 * QUIET_S)
    assert not machine.unassigned, "guarded work runs again"
    stage.release.work_ended("lora", "done", durable)
    stage.pass_s(QUIET_S + 3)
    assert machine.unassigned


def test_a_cell_that_runs_other_cells_runs_until_its_own_end(machine: FakeColab) -> None:
    stage = Stage()
    stage.cell("release.switch_on()")
    ended(stage)
    stage.begin()
    stage.shell.user_ns.update(inner=stage.cell, stage=stage, cells=(seen := []))
    stage.cell("inner('1 + 1'); inner(''); cells.append(release._cells)")
    assert seen == [1] and stage.release._cells == 0


@pytest.mark.parametrize("inner", ["get().run_cell('release.switch_on()')", "get().run_cell_magic('capture', '', 'release.switch_on()')"])
def test_switched_on_in_a_cell_that_another_runs_it_waits_for_the_outer_one(inner: str, machine: FakeColab) -> None:
    stage = Stage()
    stage.shell.user_ns.update(get=lambda: stage.shell, cells=(seen := []))
    stage.cell(f"{inner}; cells.append(release._cells); get().run_cell('1 + 1', silent=True); cells.append(release._cells)")
    assert seen == [1, 1] and stage.release._cells == 0


def test_switched_on_where_no_cell_runs_or_only_a_silent_one_it_waits_for_none(machine: FakeColab) -> None:
    stage = Stage()
    stage.release.switch_on()
    assert stage.release._cells == 0
    stage.release.switch_off()
    stage.shell.run_cell("release.switch_on()", silent=True)
    assert stage.release._cells == 0


def test_switched_on_by_another_thread_it_waits_for_the_cell_that_runs(machine: FakeColab) -> None:
    stage = Stage()
    stage.shell.user_ns.update(cells=(seen := []), Thread=threading.Thread)
    stage.cell("t = Thread(target=release.switch_on); t.start(); t.join(); cells.append(release._cells)")
    assert seen == [1] and stage.release._cells == 0


def test_a_cell_that_begins_while_durability_is_asked_for_keeps_the_machine(machine: FakeColab) -> None:
    stage = Stage()
    stage.cell("release.switch_on()")
    asked: list[int] = []

    def only_here() -> str:
        asked.append(1)
        if len(asked) == 1:
            stage.shell.events.trigger("pre_run_cell", None)
        return ""

    ended(stage, only_here=only_here)
    stage.begin()
    stage.pass_s(3 * QUIET_S)
    assert asked == [1] and not machine.unassigned and stage.told == []
    stage.shell.events.trigger("post_run_cell", None)
    stage.pass_s(QUIET_S + 3)
    assert machine.unassigned


@pytest.mark.parametrize(
    ("outcome", "only_here", "why"),
    [
        ("done", "it is saved on this machine alone", "lora is not durable: it is saved on this machine alone"),
        ("failed", "", "lora failed, and a person may want to look"),
        ("stopped", "", "lora was stopped, and a person may want to look"),
    ],
)
def test_a_machine_is_never_given_back_while_something_is_on_it_alone(
    outcome: str, only_here: str, why: str, machine: FakeColab
) -> None:
    stage = Stage()
    stage.release.switch_on()
    ended(stage, name="first")
    ended(stage, outcome, lambda: only_here)
    stage.begin()
    stage.pass_s(QUIET_S + 3)
    assert not machine.unassigned
    assert stage.told == [(False, f"The machine is KEPT: {why}.")] and stage.events == [RuntimeReleased(kept=why)]
    assert str(stage.release) == f"The machine is KEPT: {why}."


def test_a_store_that_this_kernel_has_not_seen_durable_keeps_the_machine(machine: FakeColab, home: Path) -> None:
    (home / "older").mkdir()
    (home / "older" / "FORMAT").write_text("x")
    stage = Stage()
    ended(stage)
    assert stage.release.why_kept().startswith("older is saved on this machine")
    stage.release.restored("older", durable)
    assert stage.release.why_kept() == ""


def test_the_question_is_asked_at_the_end_of_the_minute(machine: FakeColab) -> None:
    answers = ["not sent yet"]
    stage = Stage()
    stage.release.switch_on()
    ended(stage, only_here=lambda: answers[0])
    stage.begin()
    answers[0] = ""
    stage.pass_s(QUIET_S + 3)
    assert machine.unassigned


def test_colab_that_refuses_is_said_and_the_machine_is_kept(machine: FakeColab) -> None:
    machine.refuses = "Unable to find the runtime management service."
    stage = Stage()
    stage.release.switch_on()
    ended(stage)
    stage.begin()
    stage.pass_s(QUIET_S + 3)
    assert not machine.unassigned
    assert "RuntimeManagementError: Unable to find" in stage.told[0][1]


def test_off_ends_the_countdown_and_takes_the_hooks_out(machine: FakeColab) -> None:
    stage = Stage()
    before = {name: list(calls) for name, calls in stage.shell.events.callbacks.items()}
    stage.release.switch_on()
    ended(stage)
    stage.begin()
    stopping = threading.Thread(target=stage.release.switch_off)
    stopping.start()
    stopping.join(30)
    assert not stopping.is_alive() and str(stage.release) == ""
    assert {name: list(calls) for name, calls in stage.shell.events.callbacks.items()} == before
    stage.clock.advance(10 * QUIET_S)
    assert not machine.unassigned and stage.workers._workers == []


def test_without_release_nothing_is_given_back(machine: FakeColab) -> None:
    stage = Stage()
    ended(stage)
    assert stage.release._worker is None and not machine.unassigned


def test_elsewhere_it_does_nothing_and_says_so() -> None:
    stage = Stage("jupyterlab")
    stage.release.switch_on()
    ended(stage)
    assert stage.release._worker is None
    assert str(stage.release) == "--release does nothing on JupyterLab: only Colab lets a notebook give its machine back."
