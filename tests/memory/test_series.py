"""Memory over time: nothing high is lost by thinning, and the picture shows each run under its line."""

from __future__ import annotations

import pytest

from colab_guard.clock import FakeClock
from colab_guard.events import (
    EventBus,
    MemoryPressure,
    MemoryReclaimed,
    MemorySampled,
    OutOfMemoryRecovered,
    UnitFinished,
    UnitStarted,
)
from colab_guard.memory import Series
from colab_guard.memory.series import SERIES_LENGTH
from colab_guard.sweep import Sweep, grid, watch_memory

GIB = 2**30


class Told:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.bus = EventBus(clock=self.clock, synchronous=True)
        self.series = Series(self.bus)

    def sample(self, used: float, *, gpu: float | None = None) -> None:
        self.clock.advance(2.0)
        reserved = None if gpu is None else int(gpu * GIB)
        self.bus.post(MemorySampled(host_used=int(used * GIB), host_limit=16 * GIB, gpu_reserved=reserved, gpu_guard=12 * GIB if gpu else None))


def test_a_long_series_reaches_back_to_its_beginning_and_keeps_its_peaks() -> None:
    told = Told()
    began = told.clock.time()
    for number in range(5 * SERIES_LENGTH):
        told.sample(9.0 if number == 777 else 1.0)
    samples = told.series.samples
    assert len(samples) <= SERIES_LENGTH + 1
    assert samples[0].at - began < 60 and told.clock.time() - samples[-1].at < 60
    assert max(sample.host_used for sample in samples) == 9 * GIB


def test_what_happened_to_memory_is_marked_in_order() -> None:
    told = Told()
    told.bus.post(UnitStarted(sweep="s", index=0, total=2, label="vit"))
    told.bus.post(MemoryPressure(level="soft", what=""))
    told.bus.post(MemoryReclaimed(host_before=3 * GIB, host_after=GIB))
    told.bus.post(OutOfMemoryRecovered(what="GPU memory", did="again in 2 parts", where="step 3"))
    told.bus.post(UnitFinished(sweep="s", index=0, label="vit", status="done"))
    marks = [(mark.kind, mark.text) for mark in told.series.marks]
    assert marks == [("unit", "vit"), ("pressure", "soft"), ("clear", "2048 MiB freed"), ("recovery", "again in 2 parts"), ("unit end", "vit")]


@pytest.mark.parametrize("gpu", [None, 1.0])
def test_a_sweeps_figures_end_with_its_memory_by_run(gpu: float | None) -> None:
    pytest.importorskip("matplotlib")
    told = Told()
    sweep = Sweep("teeth", grid(model=["a", "b", "c"]))
    watch_memory(told.series)
    for run in sweep.runs:
        run.log(loss=0.1)
    assert len(sweep.plot()) == 1, "nothing was noted of this sweep"
    for index, run in enumerate(sweep.runs):
        told.bus.post(UnitStarted(sweep="teeth", index=index, total=3, label=run.label))
        for height in (1, 3, 6):
            told.sample(height, gpu=gpu and gpu * height)
        told.bus.post(MemoryPressure(level="soft", what=""))
        told.bus.post(UnitFinished(sweep="teeth", index=index, label=run.label, status="done"))
        told.bus.post(MemoryReclaimed(host_before=6 * GIB, host_after=GIB))
    figure = sweep.plot()[-1]
    axes = figure.axes[0]
    line = axes.lines[0].get_ydata()
    assert list(line) == [1, 3, 6] * 3
    assert axes.get_ylabel() == ("GPU memory reserved (GiB)" if gpu else "host memory used (GiB)")
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"guard" if gpu else "host memory's limit", "memory short", "cleared"}
    assert {text.get_text() for text in axes.texts} == {run.label for run in sweep.runs}
    other = Sweep("others", grid(model=["a"]))
    other.runs[0].log(loss=0.1)
    assert len(other.plot()) == 1, "what was noted is another sweep's"
