"""What a run's process is given and what it gives back: files in a folder of its own that only the user may read.

`job.json` says which run of which sweep it is and how it is guarded, `job.pickle` holds the function with all that it
looks up in the notebook, random state included, as `state` captures it; `outcome.json` is written last, by rename.
"""

from __future__ import annotations

import builtins
import json
import os
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colab_guard import state
from colab_guard.cells.functions import names_through_functions
from colab_guard.cells.scope import SHELL_NAMES
from colab_guard.errors import BadOption, SnapshotRefused
from colab_guard.store import make_private_folder

if TYPE_CHECKING:
    from colab_guard.sweep.run import Run

FUNCTION = "_cg_do"


@dataclass(frozen=True, slots=True)
class Job:
    """`guarded`: whether the run saves its own state, every `every_s` seconds within `budget`; `call`: the function's name."""

    sweep: str
    key: str
    made: dict[str, Any]
    call: str
    guarded: bool = False
    every_s: float = 60.0
    budget: float = 0.01
    fresh: bool = False
    resume: bool = False
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run's process says that it ended: "done", "failed", "stopped" or "mistake" (the user's, or a decision of theirs)."""

    status: str
    record: dict[str, Any]
    folder: str
    error: str = ""
    trace: str = ""
    kind: str = ""
    """A mistake's class, by its name in `errors`."""


def pack(folder: Path, run: Run, function: Callable[[Any], object], guarding: Mapping[str, Any]) -> None:
    """Write the job for `run` into `folder`; BadOption names what cannot go to another process."""
    namespace = getattr(function, "__globals__", {})
    name = getattr(function, "__name__", "")
    named = name.isidentifier() and namespace.get(name) is function and namespace.get("__name__") == "__main__"
    called = name if named else FUNCTION
    names: dict[str, Any] = {called: function}
    if namespace.get("__name__") == "__main__":
        names = _looked_up(called, function, namespace) | names
    live = state.Live(namespace, {})
    try:
        captured = state.capture({"names": names, "random": state.random_state()}, {"names": {}}, live)
    except SnapshotRefused as refusal:
        raise BadOption(
            f"{name or 'the function'} cannot go to a process of its own: {refusal}; make it inside the function, or leave isolate out"
        ) from None
    make_private_folder(folder)
    made = run.sweep.made() | {"isolate": False}
    job = Job(run.sweep.name, run.key, made, name if named else "do_this", path=tuple(sys.path), **guarding)
    _write(folder / "job.json", json.dumps(asdict(job)).encode())
    content = {"parts": captured.parts, "buffers": {b.key: bytes(b.data) for b in captured.buffers}}
    _write(folder / "job.pickle", pickle.dumps(content, protocol=5))


def _looked_up(called: str, function: Any, namespace: dict[str, Any]) -> dict[str, Any]:
    """Names of the notebook, with their values, that `function` and the notebook's functions it leads to look up."""
    before = namespace.get(called)
    namespace[called] = function
    try:
        _, looked_up = names_through_functions([called], namespace)
    finally:
        if before is None:
            del namespace[called]
    wanted = looked_up - SHELL_NAMES - set(vars(builtins)) - {called}
    return {name: namespace[name] for name in sorted(wanted) if name in namespace and not name.startswith("_cg_")}


def read_job(folder: Path) -> Job:
    return Job(**json.loads((folder / "job.json").read_text()))


def unpack(folder: Path, namespace: dict[str, Any]) -> None:
    """Put the function, and what it looks up, into `namespace`; random state is set."""
    path = folder / "job.pickle"
    content = pickle.loads(path.read_bytes())
    path.unlink()
    live = state.Live(namespace, {})
    buffers = {key: bytearray(data) for key, data in content["buffers"].items()}
    needed, _ = state.restore(content["parts"], buffers, live)
    names: dict[str, Any] = needed["names"]
    if FUNCTION in names:
        names["do_this"] = names.pop(FUNCTION)
    namespace.update(names)
    state.set_random_state(needed["random"])


def write_outcome(folder: Path, outcome: Outcome) -> None:
    _write(folder / "outcome.json", json.dumps(asdict(outcome)).encode())


def read_outcome(folder: Path) -> Outcome | None:
    """What the process says of its end; None where it came to say nothing."""
    try:
        return Outcome(**json.loads((folder / "outcome.json").read_text()))
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(temporary, path)
