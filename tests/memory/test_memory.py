"""The memory guard: limits that are understood, pressure that is said once, and clearing that frees."""

from __future__ import annotations

import gc
import signal
import sys
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from colab_guard import hosts
from colab_guard.clock import FakeClock
from colab_guard.errors import BadOption, HostMemoryPressure
from colab_guard.events import Event, EventBus, MemoryPressure, MemorySampled
from colab_guard.hosts import FakeProbe
from colab_guard.memory import MemoryGuard, parse_fraction, reclaim
from colab_guard.memory.caps import Caps
from colab_guard.memory.sentinel import SIGNAL
from colab_guard.workers import Workers


@pytest.mark.parametrize("text", ["0.85", "85%", 0.85])
def test_a_share_is_understood(text: Any) -> None:
    assert parse_fraction(text) == 0.85


@pytest.mark.parametrize(("text", "words"), [("85", "type 0.85 or 85%"), ("much", "0.85"), ("0", "between"), ("120%", "between")])
def test_a_share_that_means_nothing_is_one_clear_line(text: str, words: str) -> None:
    with pytest.raises(BadOption, match=words):
        parse_fraction(text)


class Guarded:
    def __init__(self) -> None:
        self.events: list[Event] = []
        bus = EventBus(synchronous=True)
        bus.subscribe(lambda event, at: self.events.append(event))
        self.probe = FakeProbe(limit=100, used=10)
        self.clock = FakeClock()
        self.guard = MemoryGuard(bus=bus, clock=self.clock, workers=Workers(self.clock), probe=self.probe)
        self.guard.on(0.85)

    def levels(self) -> list[str]:
        return [event.level for event in self.events if isinstance(event, MemoryPressure)]


def test_pressure_is_said_once_for_each_level_until_it_has_gone() -> None:
    here = Guarded()
    for used in (86, 87, 91, 92, 86, 91, 75, 88):
        here.probe.used = used
        here.clock.advance(60)
        here.guard._look()
    assert here.levels() == ["soft", "hard", "soft"]


def test_whoever_wants_to_act_on_pressure_is_called() -> None:
    here = Guarded()
    asked: list[str] = []
    here.guard.on_pressure.append(asked.append)
    here.probe.used = 91
    here.guard._look()
    assert asked == ["hard"]


def test_the_last_level_raises_in_the_thread_of_the_work_and_only_then() -> None:
    here = Guarded()
    here.probe.used = 99
    here.guard._look()
    here.guard.work_started("work")
    try:
        here.guard._look()  # in the guard's own code nothing is raised
        with pytest.raises(HostMemoryPressure):
            signal.raise_signal(SIGNAL)
        signal.raise_signal(SIGNAL)  # time to let go of memory
        here.probe.used = 100
        with pytest.raises(HostMemoryPressure):
            signal.raise_signal(SIGNAL)
        here.probe.used = 50
        signal.raise_signal(SIGNAL)  # somebody else's
    finally:
        here.guard.work_ended()
    here.probe.used = 100
    signal.raise_signal(SIGNAL)


def test_samples_are_posted_while_work_runs_and_say_when_there_is_no_gpu() -> None:
    here = Guarded()
    here.guard._look()
    samples = [event for event in here.events if isinstance(event, MemorySampled)]
    assert len(samples) == 1 and samples[0].gpu_total is None
    disk = hosts.disk()
    assert disk is not None and samples[0].disk_total == disk[1] and samples[0].disk_free
    here.guard._look()
    assert len(here.guard.series.samples) == 1, "it samples every two seconds"


def test_off_takes_everything_back() -> None:
    here = Guarded()
    assert here.guard.in_force and "%memguard off" in str(here.guard.status())
    here.guard.off()
    here.probe.used = 99
    here.guard._look()
    assert not here.guard.in_force and here.levels() == []


def test_the_gpu_cap_leaves_what_others_use_and_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[float] = []
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 1,
        mem_get_info=lambda number: (40, 100),
        memory_reserved=lambda number: 10,
        get_per_process_memory_fraction=lambda number: 1.0,
        set_per_process_memory_fraction=lambda fraction, number: set_to.append(fraction),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    cap = Caps()
    assert [one.share for one in cap.set(0.85)] == [pytest.approx(0.48)]
    cap.lift()
    assert set_to == [pytest.approx(0.48), 1.0]


@pytest.fixture
def shell() -> InteractiveShell:
    InteractiveShell.clear_instance()
    return InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))


def test_what_a_failed_cell_held_is_freed_and_tb_still_works(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    shell.user_ns["made"] = []
    shell.run_cell(
        "import torch, weakref\ndef train():\n    weights = torch.ones(1000, 1000)\n    made.append(weakref.ref(weights))\n"
        "    raise ValueError('out of luck')\ntrain()"
    )
    reference: weakref.ref[Any] = shell.user_ns["made"][0]
    gc.collect()
    assert reference() is not None, "nothing held it, so this test shows nothing"
    freed = reclaim(shell)
    assert reference() is None
    assert freed.host_before > 0 and torch is not None
    capsys.readouterr()
    shell.run_line_magic("tb", "")
    assert "out of luck" in capsys.readouterr().out


def test_outputs_with_tensors_are_dropped_and_others_stay(shell: InteractiveShell) -> None:
    pytest.importorskip("torch")
    shell.run_cell("import torch\ntorch.ones(3)", store_history=True)
    shell.run_cell("'kept'", store_history=True)
    outputs = dict(shell.user_ns["_oh"])
    assert len(outputs) == 2
    reclaim(shell)
    assert list(shell.user_ns["_oh"].values()) == ["kept"]


def test_names_that_still_hold_much_are_named(shell: InteractiveShell) -> None:
    numpy = pytest.importorskip("numpy")
    shell.user_ns["big"] = numpy.zeros(70 * 2**20, dtype=numpy.uint8)
    assert reclaim(shell).holders == ("big (70 MiB)",)
