"""Runs jobs from standard input, each in a fork of a process that has only imported the libraries.

A job runs a cell plainly, guarded, guarded until a safe point of the library loop at which its snapshot is written and
the process ends at once, or guarded from such a snapshot. One line of JSON in, one out.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import accelerate  # noqa: F401
import numpy as np
import peft  # noqa: F401
import sklearn.datasets  # type: ignore[import-untyped]  # noqa: F401
import torch
import transformers
import transformers.models.bert.modeling_bert
import transformers.models.vit.modeling_vit
import transformers.trainer
from IPython.core.interactiveshell import InteractiveShell

from colab_guard import state
from colab_guard.cells import Execution, Scope, compile_cell
from colab_guard.snapshots import Position
from colab_guard.store import CommitRecord, Loaded
from colab_guard.training import default_loops

WALL_CLOCK = ("runtime", "per_second")


def _nothing(place: object) -> None:
    """The schedule of a test has no memory of places."""


class Engine:
    """Safe points of the library loop are counted; the one numbered `kill_at` is captured and ends the process."""

    def __init__(self, kill_at: int | None, snapshot: str, tell: Callable[..., None]) -> None:
        self.kill_at, self.snapshot, self.tell = kill_at, snapshot, tell
        self.polls = 0
        self.refused: list[str] = []
        self.schedule = SimpleNamespace(every_s=1e9, safe_s=0.0, refused_at=_nothing, taken_at=_nothing)

    def due(self) -> bool:
        if sys._getframe(1).f_code.co_name != "poll":
            return False
        self.polls += 1
        return self.kill_at is not None and self.polls > self.kill_at

    def overdue(self) -> bool:
        return False

    def may(self, place: object) -> bool:
        return True

    def periodically(self, name: str, every_s: float, action: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def refuse(self, position: Position, reason: str) -> None:
        self.refused.append(reason)

    def take(self, kind: str, position: Position, capture: Callable[[], state.Captured], unit: Any = None) -> bool:
        if kind != "step":
            return False
        try:
            captured = capture()
        except state.SnapshotRefused as refusal:
            self.refused.append(str(refusal))
            return False
        buffers = {b.key: bytes(b.data) for b in captured.buffers}
        parts = {name: bytes(part) for name, part in captured.parts.items()}
        Path(self.snapshot).write_bytes(pickle.dumps((parts, buffers)))
        size = sum(map(len, parts.values())) + sum(map(len, buffers.values()))
        self.tell(killed=True, polls=self.polls, refused=self.refused, position=str(position), size=size)
        os._exit(9)


def load(path: str) -> Loaded:
    parts, buffers = pickle.loads(Path(path).read_bytes())
    record = CommitRecord("1-1-x", 1, 1, "step", 0.0, None, {}, {}, None, {})
    return Loaded(record, parts, {key: bytearray(data) for key, data in buffers.items()})


def digest(value: Any) -> Any:
    """What two runs must agree on, in JSON; tensors by the hash of their bytes."""
    if isinstance(value, torch.Tensor):
        data = value.detach().cpu().contiguous()
        return f"{list(data.shape)} {hashlib.sha256(data.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()}"
    if isinstance(value, np.ndarray):
        return hashlib.sha256(value.tobytes()).hexdigest()
    if isinstance(value, dict):
        return {str(k): digest(v) for k, v in value.items() if not any(word in str(k) for word in WALL_CLOCK)}
    if isinstance(value, (list, tuple)):
        return [digest(v) for v in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(type(value))


def results(names: dict[str, Any]) -> dict[str, Any]:
    import random

    trainer = names["trainer"]
    return {
        "weights": digest(trainer.model.state_dict()),
        "gradients": [name for name, p in trainer.model.named_parameters() if p.grad is not None],
        "optimizer": digest(trainer.optimizer.state_dict()),
        "scheduler": digest(trainer.lr_scheduler.state_dict()),
        "history": digest(trainer.state.log_history),
        "state": digest({k: v for k, v in vars(trainer.state).items() if k != "log_history"}),
        "control": digest(vars(trainer.control)),
        "flos": trainer.current_flos,
        "kept": digest(names.get("kept")),
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in trainer.model.modules()),
        "left behind": sorted(set(vars(trainer)) & set(dir(type(trainer)))),
        "alias": bool(names.get("model", trainer.model) is trainer.model),
        "held": {id(p) for g in trainer.optimizer.param_groups for p in g["params"]} <= {id(p) for p in trainer.model.parameters()},
        "python": hashlib.sha256(repr(random.getstate()).encode()).hexdigest(),
        "numpy": digest(list(np.random.get_state())[1:]),
        "torch": digest(torch.get_rng_state()),
    }


def run(job: dict[str, Any], tell: Callable[..., None]) -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    os.chdir(job["folder"])
    shell = InteractiveShell()
    names = shell.user_ns
    names["__name__"] = "__main__"
    sys.modules["__main__"].__dict__.update({"__name__": "__main__"})
    exec(compile(job["setup"], "<setup>", "exec"), names)
    engine = Engine(job["kill_at"], job["snapshot"], tell)
    began = time.perf_counter()
    if job["plain"]:
        exec(compile(job["cell"], "<cell>", "exec"), names)
    else:
        steps: list[Any] = []
        loops = default_loops(lambda *step: steps.append(step))
        cell = compile_cell(shell, job["cell"], {"train"})
        scope = Scope(names, cell.original)
        execution = Execution(cell, scope, engine, time.perf_counter, loops=loops)  # type: ignore[arg-type]
        execution.run(load(job["start"]) if job["start"] else None)
        assert not vars(transformers.Trainer)["train"].__name__.startswith("hooked")
    tell(
        killed=False,
        polls=engine.polls,
        refused=engine.refused,
        steps=[] if job["plain"] else steps,
        seconds=time.perf_counter() - began,
        results=results(names),
    )


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:

            def tell(**answer: Any) -> None:
                Path(job["answer"]).write_text(json.dumps(answer))

            try:
                run(job, tell)
            except BaseException:
                tell(error=traceback.format_exc())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        channel.write("done\n")
        channel.flush()


if __name__ == "__main__":
    main()
