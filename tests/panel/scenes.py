"""Moments of a sweep of 39 models as the panel knows them: for screenshots, and for tests that look at the whole panel.

Figures are made up by arithmetic (no chance), and of the size that they have on a T4.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from colab_guard.events import (
    HeartbeatSent,
    MemoryPressure,
    MemoryReclaimed,
    MemorySampled,
    MirrorChanged,
    OutOfMemoryRecovered,
    PingHeard,
    SnapshotDurable,
    SnapshotSaved,
    StepDone,
    UnitFinished,
    UnitStarted,
    WorkEnded,
)
from tests.panel.story import NAME, Story

GIB = 2**30
MODELS = ("vit-tiny", "deit-tiny", "swin-tiny", "convnext-nano", "resnet-18", "mobilevit-xs", "poolformer-s12", "levit-128", "pvt-tiny",
          "dinov2-small", "beit-base", "cvt-13", "regnet-y-400")  # fmt: skip
WHERE = "gs://runs/lora"
STEPS = 400


class Sweep(Story):
    """A sweep with all that goes on around it."""

    def __init__(self, where: str | None = WHERE) -> None:
        super().__init__()
        self.commits = 0
        self.begin(where=where)
        self.where = where

    def sample(self, share: float) -> None:
        """Memory at `share` of what a run takes in the end."""
        allocated = int((0.6 + 9.1 * share) * GIB)
        self.post(
            MemorySampled(
                host_used=int((4.1 + 1.2 * share) * GIB),
                host_limit=int(12.7 * GIB),
                gpu_allocated=allocated,
                gpu_reserved=int(allocated + (0.3 + 0.6 * share) * GIB),
                gpu_other=int(0.4 * GIB),
                gpu_total=15 * GIB,
                gpu_guard=int(12.75 * GIB),
                disk_free=67 * GIB,
                disk_total=108 * GIB,
            )
        )

    def commit(self, kind: str, position: str, *units: str) -> None:
        self.commits += 1
        ident = f"00000002-{self.commits:010d}-5f0c"
        self.post(SnapshotSaved(name=NAME, commit=ident, kind=kind, position=position, bytes_new=1, bytes_total=1, stall_s=0, write_s=0, units=units))
        if self.where and kind != "step":
            self.clock.advance(1)
            self.post(SnapshotDurable(name=NAME, commit=ident, where=self.where, receipt="Google's MD5"))
            self.post(MirrorChanged(name=NAME, state="ok", lag_s=2.0, bytes_per_s=38 * 2**20))

    def train(self, index: int, steps: int, seconds: float) -> None:
        """Begin a run and do `steps` of its steps in `seconds`."""
        model, rank = MODELS[index % 13], (2, 4, 8)[index // 13]
        params = {"model": model, "rank": rank, "lr": 0.0003}
        self.post(UnitStarted(sweep=NAME, index=index, total=39, label=f"{model} r{rank}", params=params))
        rounds = max(1, round(seconds / 10))
        for turn in range(rounds):
            self.clock.advance(seconds / rounds)
            self.sample(min(1.0, 0.25 + turn / rounds))
            for step in range(turn * steps // rounds + 1, (turn + 1) * steps // rounds + 1):
                self.post(StepDone(step=step, total=STEPS, loss=2.2 * math.exp(-step / 120) + 0.18 + 0.06 * math.sin(step * 1.7)))

    def whole(self, index: int, *, reason: str = "", did: str = "") -> None:
        """A run from its beginning to its end."""
        steps = 37 if reason else STEPS
        seconds = (20.0 if reason else 58.0) + 14 * (index % 4)
        self.train(index, steps, seconds)
        model, rank = MODELS[index % 13], (2, 4, 8)[index // 13]
        status = "failed" if reason else "done"
        metrics: dict[str, object] = {} if reason else {"accuracy": round(0.71 + 0.017 * ((index * 7) % 13) + 0.01 * (index // 13), 4)}
        self.post(
            UnitFinished(
                sweep=NAME, index=index, label=f"{model} r{rank}", status=status, metrics=metrics, reason=reason, did=did,
                seconds=seconds, ranked_by="accuracy", key=f"key {index}",
            )
        )  # fmt: skip
        self.commit("unit", f"the end of model {index + 1} of 39", f"key {index}")
        before, after = int(10.6 * GIB), int(0.9 * GIB)
        self.sample(0.0)
        self.post(MemoryReclaimed(name=NAME, host_before=int(5.2 * GIB), host_after=int(4.2 * GIB), gpu_before=before, gpu_after=after))

    def runs(self, count: int, failing: tuple[int, ...] = ()) -> None:
        """Whole runs, some of which fail."""
        for index in range(count):
            if index in failing:
                self.whole(index, reason="ValueError: target size (8) does not match input size (10)", did="the next run began")
            else:
                self.whole(index)

    def alive(self) -> None:
        """Signs of life both ways."""
        for _ in range(9):
            self.post(HeartbeatSent(name=NAME))
            self.post(PingHeard(name=NAME, round_trip_s=0.018))


def running() -> Story:
    """In the midst of the thirteenth of 39 models; one has failed."""
    sweep = Sweep()
    sweep.runs(12, failing=(4,))
    sweep.train(12, 212, 34)
    sweep.commit("step", "model 13, step 200")
    sweep.alive()
    sweep.clock.advance(12)
    return sweep


def all_39() -> Story:
    """All models are done."""
    sweep = Sweep()
    sweep.runs(39, failing=(4, 17))
    sweep.commit("cell", "the end of the cell")
    sweep.post(WorkEnded(name=NAME, outcome="done"))
    return sweep


def last_of_39() -> Story:
    """In the last of 39 models: all others can be unfolded."""
    sweep = Sweep()
    sweep.runs(38, failing=(4, 17))
    sweep.train(38, 300, 44)
    sweep.commit("step", "model 39, step 300")
    sweep.alive()
    sweep.clock.advance(3)
    return sweep


def failure() -> Story:
    """The cell has failed, with a mirror that does not answer."""
    sweep = Sweep()
    sweep.runs(5)
    sweep.train(5, 120, 30)
    sweep.post(MirrorChanged(name=NAME, state="degraded", reason="ConnectionError: gs:// does not answer", lag_s=94.0))
    sweep.post(WorkEnded(name=NAME, outcome="failed", reason="RuntimeError: DataLoader worker (pid 4242) is killed by signal: Bus error"))
    return sweep


def out_of_memory() -> Story:
    """Memory ran out and the work goes on; there is no mirror but what has only been sent."""
    sweep = Sweep(where=None)
    sweep.runs(3)
    what = "out of GPU memory: OutOfMemoryError: CUDA out of memory. Tried to allocate 1.20 GiB"
    reason = "OutOfMemoryError: does not fit even one row at a time, with gradient checkpointing"
    sweep.train(3, 8, 20)
    sweep.post(OutOfMemoryRecovered(name=NAME, what=what, did="one row at a time", where="rows 1 to 8 of a batch of 8"))
    sweep.whole(3, reason=reason, did="8, 4, 2, 1 rows at a time, then gradient checkpointing; the next run began")
    sweep.train(4, 90, 30)
    sweep.post(MemoryPressure(name=NAME, level="soft", what="host RAM 10.9 GiB of 12.7 GiB: caches are cleared"))
    sweep.sample(1.35)
    sweep.post(OutOfMemoryRecovered(name=NAME, what=what, did="4 rows at a time from now on", where="rows 1 to 8 of a batch of 8"))
    sweep.clock.advance(20)
    sweep.sample(0.9)
    sweep.commit("step", "model 5, step 90")
    sweep.clock.advance(4)
    return sweep


SCENES: dict[str, Callable[[], Story]] = {
    "running": running,
    "39-runs": last_of_39,
    "done": all_39,
    "failure": failure,
    "out-of-memory": out_of_memory,
}
