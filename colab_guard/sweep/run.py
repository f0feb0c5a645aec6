"""One run of a sweep: its parameters, what it logged and saved, and how it ended."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from colab_guard.errors import BadOption
from colab_guard.snapshots import UnitRecord
from colab_guard.sweep.failure import RunFailed
from colab_guard.sweep.params import label_of
from colab_guard.sweep.saving import save_thing, write_file

if TYPE_CHECKING:
    from colab_guard.sweep.sweep import Sweep

Status = Literal["waiting", "running", "done", "failed"]
MOST_HISTORY = 2000
"""Entries of a run's history that its record keeps; more are thinned evenly."""


class Run:
    """A run. Made by its `Sweep`; captured as a reference to the live sweep's run with the same parameters."""

    def __init__(self, sweep: Sweep, key: str, params: dict[str, Any], index: int) -> None:
        self.sweep = sweep
        self.key = key
        self.params = params
        self.index = index
        self.status: Status = "waiting"
        self.metrics: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.error = ""
        self.traceback = ""
        self.changes: list[str] = []
        """What ran otherwise than it was written, so that memory sufficed: with any, its result is not bit-exact."""
        self.plans: dict[str, dict[str, Any]] = {}
        """What `autoconfig` chose in this run, by what it was asked: the same question gets the same plan."""
        self.stopped = False
        """Whether its failure stopped the cell; the cell, run again, begins it anew or goes on inside it."""
        self.done_apart = False
        """Whether `do` was called for it, as a sweep with `isolate=True` asks."""
        self._began: float | None = None
        self._readers: Mapping[str, Callable[[], bytes]] = {}

    @property
    def label(self) -> str:
        return label_of(self.params)

    @property
    def finished(self) -> bool:
        return self.status in ("done", "failed")

    @property
    def folder(self) -> Path:
        """Where what this run saved lies on this machine."""
        return self.sweep.folder / self.key

    def __repr__(self) -> str:
        return f"<Run {self.label}: {self.status}>"

    # what the user's loop does with it

    def do(self, function: Callable[[Run], object]) -> None:
        """Call `function(run)`: in a process of its own where the sweep says `isolate=True`, else here.

        What it returns is dropped: `run.log` and `run.save` keep what is to stay. An error there fails the run with the
        traceback of there.
        """
        self.done_apart = True
        if not self.sweep.isolate:
            function(self)
            return
        from colab_guard.sweep import apart

        apart.do(self, function)

    def log(self, step: int | None = None, **metrics: Any) -> None:
        """Note metrics: numbers (arrays and tensors of one element too), texts, or None. The last value of each counts."""
        values = {name: _plain(name, value) for name, value in metrics.items()}
        self.metrics.update(values)
        entry = dict(values) if step is None else {"step": int(step), **values}
        self.history.append(entry)

    def save(self, thing: Any, name: str = "adapter") -> Path:
        """Save a model (its own format), arrays, a table, a figure, text or JSON under `name`; kept with the run's end."""
        target = self._inside(name)
        save_thing(thing, target)
        return target

    def path(self, name: str = "adapter") -> Path:
        """Where `name` lies. What is committed counts: a working copy that lacks it or differs is written anew."""
        target = self._inside(name)
        for relative, read in self._readers.items():
            if relative == name or relative.startswith(f"{name}/"):
                file, content = self._inside(relative), read()
                if not file.is_file() or file.read_bytes() != content:
                    write_file(file, content)
        earlier = self.sweep.earlier_folder / self.key
        if not target.exists() and not self._readers and not self.folder.exists() and (earlier / name).exists():
            return earlier / name
        if not target.exists():
            raise BadOption(f"{self.label} saved nothing called {name!r}; it saved: {', '.join(self.saved()) or 'nothing'}")
        return target

    def saved(self) -> list[str]:
        """Relative names of the files that the run saved; of a committed run, what its commit holds."""
        if self._readers:
            return sorted(self._readers)
        folder = self.folder if self.folder.exists() else self.sweep.earlier_folder / self.key
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())

    def __enter__(self) -> Run:
        """`with run:` outside a checkpointed cell: an error marks the run failed and, if the sweep says so, goes no further."""
        self.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is None:
            self.end("done")
            return False
        if not isinstance(error, Exception):
            _ended(self)
            return False
        self.fail(error)
        self.end("failed")
        return self.sweep.on_error == "continue"

    # its life

    def begin(self) -> None:
        """The run starts, or goes on after a resume."""
        self.status = "running"
        self._began = time.monotonic()
        _under_way(self)

    def pause(self) -> None:
        """Count the time so far; a capture of a running run keeps it."""
        if self._began is not None:
            now = time.monotonic()
            self.seconds += now - self._began
            self._began = now

    def end(self, status: Status) -> None:
        self.pause()
        self._began = None
        self.status = status
        _ended(self)

    def take_time(self, seconds: float) -> None:
        """The run has taken `seconds` so far, elsewhere."""
        self.seconds = seconds
        self._began = time.monotonic()

    def fail(self, error: BaseException) -> None:
        """Note the error: one line for tables, and the traceback from the user's code on."""
        if isinstance(error, RunFailed):
            self.error, self.traceback = error.line, error.trace
            return
        notes = [str(note) for note in getattr(error, "__notes__", ())]
        told = "".join(traceback.format_exception_only(error)).strip().removesuffix("\n".join(notes).strip()).strip()
        tried = [note for note in notes if note.startswith("colab_guard: ")]
        self.error = "; ".join([told.splitlines()[-1] if told else type(error).__name__, *tried])
        self.traceback = "".join(traceback.format_exception(type(error), error, _users(error.__traceback__)))

    def note_change(self, what: str) -> None:
        """Something ran otherwise than it was written."""
        if what not in self.changes:
            self.changes.append(what)

    def reset(self) -> None:
        """Forget how the run ended, so that it runs again."""
        self.metrics, self.history, self.seconds, self.error, self.traceback = {}, [], 0.0, "", ""
        self.changes = []
        self._readers = {}
        self.plans = {}
        self.stopped = self.done_apart = False
        self.status = "waiting"

    def start_anew(self) -> None:
        """Forget all that an attempt which was killed left behind, files too."""
        self.reset()
        if self.folder.exists():
            shutil.rmtree(self.folder)

    # records

    def record(self) -> UnitRecord:
        """What its commit keeps."""
        content = {
            "params": self.params,
            "label": self.label,
            "index": self.index,
            "status": self.status,
            "metrics": self.metrics,
            "history": _thinned(self.history),
            "seconds": self.seconds,
            "error": self.error,
            "traceback": self.traceback,
            **({"changes": self.changes} if self.changes else {}),
            **({"plans": self.plans} if self.plans else {}),
        }
        return UnitRecord(self.sweep.name, self.key, content, self._own_files())

    def _own_files(self) -> dict[str, Path]:
        return {str(p.relative_to(self.folder)): p for p in sorted(self.folder.rglob("*")) if p.is_file()}

    def adopt(self, record: Mapping[str, Any], readers: Mapping[str, Callable[[], bytes]] | None = None) -> None:
        """Take over what a commit says of this run."""
        self.status = record["status"]
        self.metrics = dict(record["metrics"])
        self.history = list(record["history"])
        self.seconds = float(record["seconds"])
        self.error, self.traceback = str(record["error"]), str(record["traceback"])
        self.changes = list(record.get("changes", ()))
        self.plans = dict(record.get("plans", {}))
        if readers is not None:
            self._readers = readers

    def __reduce__(self) -> tuple[Any, ...]:
        from colab_guard.sweep.registry import live_run

        self.pause()
        # a finished run's files are in its own commit; those of the run in flight go with the state
        files = {} if self.finished else {n: p.read_bytes() for n, p in self._own_files().items()}
        noted = (self.status, dict(self.metrics), list(self.history), self.seconds, self.error, self.traceback, list(self.changes))
        return live_run, (self.sweep, self.key, self.params), (noted, files, dict(self.plans))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        noted, files, *plans = state
        self.plans = dict(plans[0]) if plans else {}  # earlier snapshots have none
        self.stopped = False
        if noted[0] == "failed" and self.key in self.sweep.retried:
            return
        self.status, self.metrics, self.history, self.seconds, self.error, self.traceback, *changes = noted
        self.changes = changes[0] if changes else []  # earlier snapshots have none
        if self.finished:
            return
        self._readers = {}
        self._began = time.monotonic() if self.status == "running" else None
        if self.status == "running":
            _under_way(self)
        if self.folder.exists():
            shutil.rmtree(self.folder)
        for name, content in files.items():
            write_file(self._inside(name), content)

    def _inside(self, name: str) -> Path:
        target = (self.folder / name).resolve()
        if not name or not target.is_relative_to(self.folder.resolve()) or target == self.folder.resolve():
            raise BadOption(f"{name!r} is no name for something saved; use letters, digits and '/'")
        return target


def _under_way(run: Run) -> None:
    """Plans made from now on are the run's."""
    from colab_guard import plan

    plan.begin(run)


def _ended(run: Run) -> None:
    from colab_guard import plan

    plan.end(run)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 1) is not None:
        try:
            found = item()
        except (ValueError, RuntimeError, TypeError):
            found = None
        if isinstance(found, (bool, int, float)):
            return found
    raise BadOption(f"run.log({name}=...) takes a number, not a {type(value).__name__}; use run.save for anything larger")


def _thinned(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(history) <= MOST_HISTORY:
        return list(history)
    every = -(-len(history) // MOST_HISTORY)
    return [*history[:-1:every], history[-1]]


def _users(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame that is not the project's own."""
    step = trace
    while step is not None and "colab_guard" in step.tb_frame.f_globals.get("__name__", ""):
        step = step.tb_next
    return step or trace
