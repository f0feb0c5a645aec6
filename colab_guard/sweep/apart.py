"""A run in a process of its own: `run.do(train)` of `Sweep(..., isolate=True)`.

The body of a loop cannot be moved to another process; a function can. It is started anew (spawn: nothing of torch, CUDA
or locks comes along by fork), tells the system to kill it before the notebook's kernel, and dies with the kernel. What it
prints and displays is shown as it comes. In a checkpointed cell the process saves its own state under the home folder
(`.apart/NAME/KEY`): a process that dies is started once more and goes on at its last commit, and so does the run after
the kernel's death. What comes of it (metrics, history, files) goes into the run's commit in the cell's own store.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colab_guard import errors, hosts
from colab_guard.errors import BadOption, NeedsDecision
from colab_guard.hosts import gauges
from colab_guard.store import KEY_VARIABLE, make_private_folder, the_key
from colab_guard.sweep.failure import RunFailed, cause_of_death
from colab_guard.sweep.job import Outcome, pack, read_outcome
from colab_guard.sweep.pump import Pump
from colab_guard.workers import Workers

if TYPE_CHECKING:
    from colab_guard.sweep.run import Run

CHILD = "import sys; from colab_guard.session import apart; sys.exit(apart.main(sys.argv[1:]))"
LOOK_S = 0.1
TO_END_S = 10.0
"""After an interrupt, or the end of the work: so long a process may take before it is killed."""
TRIES_GUARDED = 2


@dataclass(frozen=True, slots=True)
class Guarding:
    """How the running checkpointed cell guards: handed in by the session. `stop_asked`: whether it is to stop at a safe point."""

    name: str
    every_s: float
    budget: float
    fresh: bool
    resume: bool
    stop_asked: Callable[[], bool]
    begun: set[str] = field(default_factory=set)
    """Keys of runs that it has started a process for."""


guarding: list[Guarding] = []
"""The checkpointed cell that runs now, if any."""


@contextmanager
def guarded_by(guard: Guarding) -> Iterator[None]:
    """The time in which a checkpointed cell runs: its runs' processes save their own state too."""
    guarding.append(guard)
    try:
        yield
    finally:
        guarding.remove(guard)


def do(run: Run, function: Callable[[Any], object]) -> None:
    """Run `function(run)` in a process of its own; raise `RunFailed` if it fails there, KeyboardInterrupt if it was stopped."""
    if not callable(function):
        raise BadOption(f"run.do takes a function of the run, not a {type(function).__name__}; type run.do(train)")
    guard = guarding[-1] if guarding else None
    home = home_of(run)
    again = guard is not None and run.key in guard.begun
    if guard is None or (guard.fresh and not again):
        shutil.rmtree(home, ignore_errors=True)
    if guard is not None:
        guard.begun.add(run.key)
    died = ""
    for attempt in range(TRIES_GUARDED if guard is not None else 1):
        pack(home, run, function, _told(guard, again=again or attempt > 0))
        outcome, died = _attempt(home, guard)
        if outcome is not None:
            _take(run, outcome)
            if guard is None:
                shutil.rmtree(home, ignore_errors=True)
            return
        if attempt == 0 and guard is not None:
            print(f"{run.label}: {died}. Once more, from what it has saved (what it printed until then comes again):", file=sys.stderr)
    raise RunFailed(died)


def home_of(run: Run) -> Path:
    """Where a run's process keeps its state and its working copies."""
    return hosts.home() / ".apart" / run.sweep.place / run.key


def tidy(run: Run) -> None:
    """A finished run's process is needed no more: what it saved for itself goes."""
    shutil.rmtree(home_of(run), ignore_errors=True)


def _told(guard: Guarding | None, *, again: bool) -> dict[str, Any]:
    if guard is None:
        return {}
    return {
        "guarded": True,
        "every_s": guard.every_s,
        "budget": guard.budget,
        "fresh": guard.fresh and not again,
        "resume": guard.resume,
    }


def _attempt(home: Path, guard: Guarding | None) -> tuple[Outcome | None, str]:
    """Start the process and wait for its end: what it says of it, or why it died."""
    (home / "outcome.json").unlink(missing_ok=True)
    workers = Workers()
    messages, theirs = os.pipe()
    environment = {**os.environ, "COLAB_GUARD_HOME": str(home), "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    if (key := the_key()) is not None:
        environment[KEY_VARIABLE] = key.decode()  # what may have come from the page, which the process cannot ask
    try:
        process = workers.child(
            [sys.executable, "-c", CHILD, str(home), str(theirs), str(os.getpid())], environment=environment, descriptors=[theirs]
        )
    finally:
        os.close(theirs)
    before = gauges.group_kills(process.pid)
    pump = Pump(process, messages)
    try:
        _wait(process, pump, guard)
    finally:
        _end(process, pump)
        pump.close()
        (home / "job.pickle").unlink(missing_ok=True)
    outcome = read_outcome(home)
    if outcome is not None and process.returncode == 0:
        return outcome, ""
    kills = gauges.total(before), gauges.total(gauges.counted(before))
    return None, cause_of_death(process.returncode, kills, pump.tail)


def _wait(process: subprocess.Popen[bytes], pump: Pump, guard: Guarding | None) -> None:
    asked = False
    while process.poll() is None:
        try:
            pump.turn(LOOK_S)
        except KeyboardInterrupt:
            _interrupt(process, pump)
            raise
        if guard is not None and guard.stop_asked() and not asked:
            asked = True
            process.send_signal(signal.SIGINT)  # it finishes its step, saves and ends


def _interrupt(process: subprocess.Popen[bytes], pump: Pump) -> None:
    """Pass the interrupt on, and show what comes of it."""
    process.send_signal(signal.SIGINT)
    until = time.monotonic() + TO_END_S
    while process.poll() is None and time.monotonic() < until:
        pump.turn(LOOK_S)


def _end(process: subprocess.Popen[bytes], pump: Pump) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what it has started and left behind: its group is its own
    pump.drain()


def _take(run: Run, outcome: Outcome) -> None:
    """What the process made becomes the run's; errors that it reports are raised here."""
    record = outcome.record
    run.metrics, run.history = dict(record["metrics"]), list(record["history"])
    run.take_time(float(record["seconds"]))
    theirs = Path(outcome.folder)
    if theirs.is_dir():
        make_private_folder(run.folder)
        shutil.copytree(theirs, run.folder, dirs_exist_ok=True)
    if outcome.status == "stopped":
        raise KeyboardInterrupt(outcome.error)
    if outcome.status == "mistake":
        raise getattr(errors, outcome.kind, NeedsDecision)(outcome.error)
    if outcome.status == "failed":
        raise RunFailed(outcome.error, outcome.trace)
