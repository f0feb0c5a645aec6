"""A process that runs programs, each run in a fork of its own: plainly, guarded, killed at a safe point, or resumed.

Requests come as lines of JSON on the standard input, answers go as lines of JSON to the standard output. A killed run
ends by `os._exit` inside its safe point, as SIGKILL would end it: nothing unwinds. What it had captured is in a file.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import pickle
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.random  # seeded once, before the forks

from colab_guard import state
from colab_guard.cells import Execution, Scope, compile_cell, loops, runtime, short
from colab_guard.snapshots import Position, UnitRecord
from tests.cells.harness import FakeEngine, fresh_shell, loaded
from tests.programs.describe import describe, said

LIMIT_S = 20.0
MOST_POINTS = 2000
Facts = dict[str, Any]


class CountingEngine(FakeEngine):
    """Every safe point is due. Captures at all of them, or only from the one on at which the process is to end."""

    def __init__(self, *, always: bool, kill_at: int | None = None, end: Callable[[state.Captured, CountingEngine], None] | None = None) -> None:
        super().__init__(kill_at=None)
        self._always = always
        self._target = kill_at
        self._end = end
        self.texts: list[str] = []

    def take(
        self, kind: str, position: Position, capture: Callable[[], state.Captured], unit: UnitRecord | None = None
    ) -> bool:
        number = len(self.texts)
        self.texts.append(f"{position.depth} {position.text}" if kind != "cell" else "0 the end")
        if number >= MOST_POINTS:
            raise TooLong
        reached = self._target is not None and number >= self._target
        if self._always or reached:
            try:
                captured = capture()
            except state.SnapshotRefused as refusal:
                self.refused.append(f"{position.text}: {refusal}")
                return False
            if reached:
                self.kind = kind
                assert self._end is not None
                self._end(captured, self)
        return True

    def refuse(self, position: Position, reason: str) -> None:
        self.refused.append(f"{position.text}: {reason}")


class TooLong(BaseException):
    """The program has more safe points than a test should take."""


def run_plainly(request: Facts) -> Facts:
    """The cell as the shell would run it, without colab_guard."""

    def run(shell: Any) -> Any:
        source = "\n" + shell.transform_cell(_cell.text)
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, _cell.filename, "exec", dont_inherit=True), shell.user_ns)
        return None if last is None else eval(compile(ast.Expression(last.value), _cell.filename, "eval", dont_inherit=True), shell.user_ns)

    return _observed(request, run, io.StringIO())


def run_guarded(request: Facts) -> Facts:
    """From its start, captured at every safe point where `always` says so; or resumed from a file; or killed, into a file."""
    taken = io.StringIO()

    def end(captured: state.Captured, engine: CountingEngine) -> None:
        buffers = [(b.key, bytes(b.data)) for b in captured.buffers]
        with open(request["save"], "wb") as file:
            pickle.dump((captured.parts, buffers, engine.kind), file)
        _answer_and_die({"out": taken.getvalue(), "passed": len(engine.texts), "position": engine.texts[-1], "refused": engine.refused})

    engine = CountingEngine(always=request.get("always", False), kill_at=request.get("kill_at"), end=end)

    def run(shell: Any) -> Any:
        start = None
        if request.get("resume"):
            with open(request["resume"], "rb") as file:
                parts, buffers, kind = pickle.load(file)
            start = loaded(state.Captured(parts, [], []), kind)
            start.buffers.update({key: bytearray(data) for key, data in buffers})
        execution = Execution(_cell, Scope(shell.user_ns, _cell.original), engine, time.perf_counter)  # type: ignore[arg-type]
        if start is not None and start.record.kind == "cell":
            return execution.restore_finished(start)
        return execution.run(start)

    return {**_observed(request, run, taken), "points": engine.texts, "refused": engine.refused}


def _observed(request: Facts, run: Callable[[Any], Any], taken: io.StringIO) -> Facts:
    """What `run` printed, raised and left behind."""
    with contextlib.redirect_stdout(taken):
        random.setstate(_drawn)  # a fork seeds it anew
        if request.get("resume"):
            random.seed(999)  # the other process has drawn other numbers so far
            np.random.seed(999)
        error, value = None, None
        try:
            value = run(_shell)
        except Exception as raised:
            error = _told(raised)
        printed = taken.getvalue()
        names = describe({**_shell.user_ns, "<value>": value})
    return {"out": printed, "error": error, "names": names}


INLINED = ("<listcomp>", "<setcomp>", "<dictcomp>")
"""Comprehensions that lead to loops are loops in guarded cells, as they are in newer versions of Python: no frames."""


def _told(error: Exception) -> list[str]:
    """The error, with the user's frames; frames of ours only where a traceback in the notebook would show them."""
    lines = [said(error)]
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = frame.f_code.co_filename
        if frame.f_code.co_name in INLINED:
            continue
        if "colab_guard" in name and "__tracebackhide__" not in frame.f_locals:
            lines.append(f"{name}:{line} {frame.f_code.co_name} is seen")
        elif "colab_guard" not in name and "tests" not in name and "_cg_" not in frame.f_code.co_name:
            lines.append(f"{frame.f_code.co_name}:{line}" if "/lib/" not in name else frame.f_code.co_name)
        elif "_cg_" in frame.f_code.co_name:
            lines.append(f"{frame.f_code.co_name} is a name of ours")
    chain = error.__cause__ or error.__context__
    while chain is not None:
        lines.append(f"after {type(chain).__name__}: {chain}")
        chain = chain.__cause__ or chain.__context__
    return lines


# the process

_shell: Any = None
_cell: Any = None
_drawn: Any = None
_answers = sys.stdout
_pipe = -1


def _answer_and_die(facts: Facts) -> None:
    data = json.dumps(facts).encode()
    while data:
        data = data[os.write(_pipe, data) :]
    os._exit(0)


def in_a_fork(request: Facts) -> Facts:
    """Run `request` in a fork, for at most `LIMIT_S`."""
    global _pipe
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _pipe = writing
        try:
            facts = run_plainly(request) if request["what"] == "plain" else run_guarded(request)
        except TooLong:
            facts = {"too_long": True}
        except BaseException:
            facts = {"crash": traceback.format_exc()}
        _answer_and_die(facts)
    os.close(writing)
    parts = []
    until = time.monotonic() + LIMIT_S
    while select.select([reading], [], [], max(until - time.monotonic(), 0))[0]:
        part = os.read(reading, 1 << 20)
        if not part:
            break
        parts.append(part)
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    try:
        facts: Facts = json.loads(b"".join(parts))
    except ValueError:
        facts = {"crash": f"no answer within {LIMIT_S:g} s, or the process died ({status})"}
    return facts


def serve_one_program(request: Facts) -> None:
    """The earlier cell is run and the guarded one prepared once; each of its runs begins there, in a fork of its own."""
    global _shell, _cell, _drawn
    if request["bare"] is not None:
        short.SHORT_RUNS, short.SHORT_S = request["bare"], 1e9
    try:
        _shell = fresh_shell()
        setup = request["setup"]
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(setup, _shell.compile.cache(setup, 0), "exec", dont_inherit=True), _shell.user_ns)
        _cell, _drawn = compile_cell(_shell, request["cell"], {"train"}), random.getstate()
        answer: Facts = {}
    except Exception:
        answer = {"crash": traceback.format_exc()}
    print(json.dumps(answer), file=_answers, flush=True)
    for line in iter(sys.stdin.readline, ""):
        asked = json.loads(line)
        if asked["what"] == "end":
            break
        print(json.dumps(in_a_fork(asked)), file=_answers, flush=True)
    os._exit(0)


def main() -> None:
    # loops look at every iteration, and none runs bare by the clock: a program passes the same points each time
    loops.MOST_BETWEEN_LOOKS = 1
    short.SHORT_RUNS = 1 << 30
    runtime.LONG_S = 1e9
    sys.stdout = sys.stderr
    fresh_shell()
    for line in iter(sys.stdin.readline, ""):
        pid = os.fork()
        if pid == 0:
            serve_one_program(json.loads(line))
        os.waitpid(pid, 0)
        print("{}", file=_answers, flush=True)


if __name__ == "__main__":
    main()
