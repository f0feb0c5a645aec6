"""The process of one run of `Sweep(..., isolate=True)`: `main([FOLDER, MESSAGES, PARENT])`.

It has a shell but is no kernel. It dies with the kernel that started it, and asks the system to be killed first where
memory runs out. In a checkpointed cell the call of the run's function is guarded work of its own, with a store of its own.
"""

from __future__ import annotations

import base64
import ctypes
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from colab_guard import hosts
from colab_guard.errors import HostMemoryPressure, UserMistake
from colab_guard.sweep import Run, Sweep
from colab_guard.sweep.failure import OUT_OF_MEMORY
from colab_guard.sweep.job import Job, Outcome, read_job, unpack, write_outcome
from colab_guard.workers import Workers

KILLED_FIRST = "900"
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    folder, messages, parent = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    _die_with(parent)
    _be_killed_first()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hosts.without_page()
    job = read_job(folder)
    sys.path[:] = job.path
    shell = _shell(messages)
    sweep = Sweep(job.sweep, **job.made)
    run = sweep.run_by_key(job.key, {})
    run.start_anew()
    unpack(folder, shell.user_ns)
    shell.user_ns["_run"] = run
    write_outcome(folder, _outcome(job, run, shell))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads and workers of the user's code that do not end hold nobody up


def _outcome(job: Job, run: Run, shell: Any) -> Outcome:
    status, error, trace, kind = "done", "", "", ""
    run.begin()
    try:
        _call(job, shell)
    except UserMistake as mistake:
        status, error, kind = "mistake", str(mistake), type(mistake).__name__
    except KeyboardInterrupt as stop:
        status, error = "stopped", str(stop) or "interrupted"
    except BaseException as problem:
        run.fail(problem)
        status, error, trace = "failed", _line(problem, run.error), run.traceback
    run.end("failed" if status == "failed" else "done")
    return Outcome(status, dict(run.record().record), str(run.folder), error, trace, kind)


def _line(problem: BaseException, told: str) -> str:
    """The error in one line; one that means that memory ran out says so first, in whatever words it came."""
    short = importlib.import_module("colab_guard.memory.recognise").shortage_in(problem)
    return f"{OUT_OF_MEMORY}: {told}" if short is not None or isinstance(problem, HostMemoryPressure) else told


def _call(job: Job, shell: Any) -> None:
    if not job.guarded:
        shell.user_ns[job.call](shell.user_ns["_run"])
        return
    from colab_guard.session.options import CheckpointOptions
    from colab_guard.session.session import current

    session = current(shell)
    options = CheckpointOptions(every_s=job.every_s, budget=job.budget, fresh=job.fresh, resume=job.resume)
    try:
        session.run_checkpointed("run", f"{job.call}(_run)", options)
    finally:
        session.close()


def _shell(messages: int) -> Any:
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Publisher(DisplayPublisher):
        """Hands displays to the kernel."""

        def publish(self, data: Any, metadata: Any = None, source: Any = None, *, transient: Any = None, update: bool = False, **more: Any) -> None:  # noqa: E501
            plain = {kind: base64.b64encode(v).decode() if isinstance(v, bytes) else v for kind, v in data.items()}
            self._send({"kind": "update" if update else "show", "data": plain, "metadata": metadata or {}, "transient": transient or {}})

        def clear_output(self, wait: bool = False) -> None:
            self._send({"kind": "clear", "wait": wait})

        def _send(self, message: dict[str, Any]) -> None:
            sys.stdout.flush()
            sys.stderr.flush()
            with os.fdopen(os.dup(messages), "w") as file:
                file.write(json.dumps(message) + "\n")

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}), display_pub_class=Publisher)
    return shell


def _die_with(parent: int) -> None:
    """The kernel holds the other end of this process's input: where that closes, or the kernel dies, this process ends."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before that was in force
    life = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def watch() -> None:
        while os.read(life, 1):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    Workers().start("life", lambda stopping: watch())


def _be_killed_first() -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text(KILLED_FIRST)
    except OSError:
        pass  # not Linux, or not allowed: the system chooses by size then

