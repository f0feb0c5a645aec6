"""Errors, debuggers, profilers and sources in checkpointed cells, in real kernels: all speak of the user's own code."""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.harness import NOTES, Machine, Output, RunningKernel, stacks

SETUP = "%load_ext colab_guard" + NOTES + """
import inspect, os, random, sys, time, warnings
from IPython.core.debugger import set_trace
def work(n):
    total = 0
    for i in range(n):
        total += 1 / (2 - i)
    return total
def numbers(n):
    for i in range(n):
        yield 1 / (1 - i)
class Model:
    def fit(self, n):
        for i in range(n):
            self.x = 1 / (1 - i)
"""
STACKS = stacks()
OURS = re.compile(r"_cg_|_cgv|/colab_guard/|cells/\w+\.py")


@pytest.fixture(scope="module", params=STACKS, ids=list(STACKS))
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKernel]:
    with Machine(tmp_path_factory.mktemp("machine"), STACKS[request.param]).kernel() as running:
        loaded = running.run(SETUP)
        assert not loaded.error, loaded.error
        yield running


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def arrows(error: str) -> list[str]:
    """The lines of code at which a traceback points, without those that lead to every cell magic."""
    pointed = re.findall(r"^-+> \d+ +(.*)$", plain(error), re.M)
    return [line.strip() for line in pointed if "run_cell_magic" not in line and line.strip() != "result = fn(*args, **kwargs)"]


def asked(kernel: RunningKernel, code: str, answers: list[str], limit_s: float = 60) -> str:
    """Run `code`, which asks for input, and type `answers`; what was shown."""
    request = kernel.client.execute(code, allow_stdin=True, stop_on_error=False)
    shown = ""
    until = time.monotonic() + limit_s
    left = list(answers)
    while time.monotonic() < until:
        try:
            kernel.client.get_stdin_msg(timeout=0.05)
            kernel.client.input(left.pop(0) if left else "q")
        except queue.Empty:
            pass
        try:
            message = kernel.client.get_iopub_msg(timeout=0.05)
        except queue.Empty:
            continue
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        shown += content.get("text", "") + "\n".join(content.get("traceback", []))
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            return plain(shown)
    raise TimeoutError(shown)


ERRORS = {
    "in the cell's own loop": ("for i in range(4):\n    y = 1 / (2 - i)", ["y = 1 / (2 - i)"]),
    "in a function that the loop calls": (
        "out = []\nfor k in range(3):\n    out.append(work(k + 1))",
        ["out.append(work(k + 1))", "total += 1 / (2 - i)"],
    ),
    "in a function of the cell": (
        "def local(n):\n    for i in range(n):\n        assert i < 2, 'too far'\nlocal(4)",
        ["local(4)", "assert i < 2, 'too far'"],
    ),
    "in a generator": ("for x in numbers(3):\n    y = x", ["for x in numbers(3):", "yield 1 / (1 - i)"]),
    "in a method": ("model = Model()\nmodel.fit(3)", ["model.fit(3)", "self.x = 1 / (1 - i)"]),
    "in a comprehension that calls": ("scores = [work(k) for k in (1, 3)]", ["scores = [work(k) for k in (1, 3)]", "total += 1 / (2 - i)"]),
    "in the test of a while": ("k = 0\nwhile work(k) < 100:\n    k += 1", ["while work(k) < 100:", "total += 1 / (2 - i)"]),
    "in what cannot be gone over": ("for x in 5:\n    pass", ["for x in 5:"]),
    "where a user's iterator begins": (
        "class Rows:\n    def __iter__(self):\n        return iter(1 / 0)\ndef go(rows):\n    for x in rows:\n        pass\ngo(Rows())",
        ["go(Rows())", "for x in rows:", "return iter(1 / 0)"],
    ),
    "in the last expression": ("x = 3\nwork(x)", ["work(x)", "total += 1 / (2 - i)"]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_traceback_shows_the_users_lines_and_names(kernel: RunningKernel, name: str) -> None:
    source, lines = ERRORS[name]
    error = kernel.run(f"%%checkpointed e{abs(hash(name))} --fresh\n{source}").error
    assert arrows(error) == lines, plain(error)
    assert not OURS.search(plain(error)), plain(error)
    assert arrows(kernel.run("%tb").error) == lines


def test_a_traceback_names_the_cell_by_its_own_number(kernel: RunningKernel) -> None:
    shown = plain(kernel.run("%%checkpointed numbered --fresh\nfor i in range(2):\n    1 / 0").error)
    assert len(set(re.findall(r"In\s*\[(\d+)\]", shown))) <= 1, shown


def test_a_chain_of_errors_is_shown_in_full(kernel: RunningKernel) -> None:
    source = "for i in range(2):\n    try:\n        work(3)\n    except ZeroDivisionError as error:\n        raise ValueError('chained') from error"
    shown = plain(kernel.run(f"%%checkpointed chained --fresh\n{source}").error)
    assert "ZeroDivisionError: " in shown and "ValueError: chained" in shown and "direct cause" in shown
    assert not OURS.search(shown), shown


def test_what_the_user_prints_of_an_error_names_only_the_users_code(kernel: RunningKernel) -> None:
    source = "import traceback\nfor i in range(1):\n    try:\n        work(3)\n    except ZeroDivisionError:\n        traceback.print_exc()"
    shown = kernel.run(f"%%checkpointed printed --fresh\n{source}").text
    assert shown.count("File ") == 2 and "total += 1 / (2 - i)" in shown and not OURS.search(shown), shown


def test_a_warning_shows_the_cells_line_once(kernel: RunningKernel) -> None:
    shown = kernel.run("%%checkpointed warned --fresh\nfor i in range(3):\n    warnings.warn('careful')\n").text
    assert shown.count("UserWarning: careful") == 1 and re.search(r":3: UserWarning", shown), shown
    twice = kernel.run("%%checkpointed compiled --fresh\nfor i in range(2):\n    x = i is 5\n").text
    assert twice.count("SyntaxWarning") == 1, twice


def test_a_syntax_error_is_one_line_and_runs_nothing(kernel: RunningKernel) -> None:
    failed = kernel.run("%%checkpointed broken --fresh\nran = 1\nfor i in range(3)\n    pass")
    assert "line 2" in plain(failed.error + failed.text)
    assert kernel.run("'ran' in dir()").value == "False"


def test_sources_are_found_during_and_after_the_run_and_the_code_is_the_users_again(kernel: RunningKernel) -> None:
    source = "code = work.__code__\ndef mine(n):\n    for i in range(n):\n        found = inspect.getsource(mine)\n    return found\nduring = mine(2), inspect.getsource(work)"
    assert not kernel.run("before = work.__code__\n").error
    assert not kernel.run(f"%%checkpointed sources --fresh\n{source}").error
    assert kernel.run("during == (inspect.getsource(mine), inspect.getsource(work))").value == "True"
    assert kernel.run("inspect.getsource(mine).splitlines()[0]").value == "'def mine(n):'"
    assert kernel.run("work.__code__ is before").value == "True"
    assert kernel.run("[n for f in (work, mine) for n in f.__code__.co_varnames + f.__code__.co_names if n.startswith('_cg')]").value == "[]"
    restored = "del mine, during\nget_ipython().run_cell_magic('checkpointed', 'sources', %r)\ninspect.getsource(mine).splitlines()[0], mine(1)[:8]"
    assert kernel.run(restored % (source + "\n")).value == "('def mine(n):', 'def mine')"


def test_timing_magics_and_profilers_work_inside_and_around(kernel: RunningKernel) -> None:
    inside = kernel.run("%%checkpointed timed --fresh\n%time x = work(2)\n%timeit -n2 -r1 work(2)\nfor i in range(2):\n    y = i\ny")
    assert "Wall time" in inside.text and "per loop" in inside.text and inside.value == "1", inside.error
    body = kernel.run("%%checkpointed body --fresh\n%%time\nfor i in range(3):\n    z = work(1)\n")
    assert "Wall time" in body.text and not body.error
    around = kernel.run("%%time\n%%checkpointed around --fresh\nfor i in range(3):\n    z = i\n")
    assert "Wall time" in around.text and not around.error
    profile = "import cProfile, io, pstats\nwith cProfile.Profile() as p:\n    work(2)\ntext = io.StringIO()\npstats.Stats(p, stream=text).print_stats('work')\ntext.getvalue()"
    assert "(work)" in kernel.run(f"%%checkpointed profiled --fresh\n{profile}").value
    seen = "seen = []\nsys.setprofile(lambda frame, event, arg: seen.append(frame.f_code.co_name) if event == 'call' else None)\nwork(2)\nsys.setprofile(None)\n'work' in seen"
    assert kernel.run(f"%%checkpointed traced --fresh\n{seen}").value == "True"


def test_functions_of_a_running_cell_work_in_other_processes(kernel: RunningKernel) -> None:
    source = (
        "def local(x):\n    t = 0\n    for i in range(x):\n        t += i\n    return t\n"
        "import cloudpickle, subprocess\ncode = 'import pickle, sys; print(pickle.load(sys.stdin.buffer)(4))'\n"
        "sent = subprocess.run([sys.executable, '-c', code], input=cloudpickle.dumps(local), capture_output=True)\nsent.stdout.decode(), sent.stderr.decode()"
    )
    assert kernel.run(f"%%checkpointed children --fresh\n{source}").value == "('6\\n', '')"
    if kernel.run("import importlib.util; importlib.util.find_spec('joblib') is not None").value == "True":
        spread = "from joblib import Parallel, delayed\nParallel(n_jobs=2)(delayed(local)(i) for i in range(4))"
        assert kernel.run(f"%%checkpointed spread --fresh\n{source.split('import')[0]}{spread}").value == "[0, 0, 1, 3]"


def test_a_thread_that_outlives_its_cell_goes_on(kernel: RunningKernel) -> None:
    source = "import threading\ndone = []\ndef later():\n    for i in range(10):\n        time.sleep(0.02)\n        done.append(i)\nthread = threading.Thread(target=later)\nthread.start()"
    started = kernel.run(f"%%checkpointed outlives --fresh\n{source}")
    assert not started.error, plain(started.error)
    assert kernel.run("thread.join(); done").value == str(list(range(10)))


def test_the_debugger_sees_the_users_variables(kernel: RunningKernel) -> None:
    kernel.run("%%checkpointed debugged --fresh\nfor k in range(5):\n    last = work(k)\n")
    shown = asked(kernel, "%debug", ["p ('here', i, total)", "up", "p ('cell', k)", "q"])
    assert "('here', 2, 1.5)" in shown and "('cell', 3)" in shown, shown
    shown = asked(kernel, "%%checkpointed stopped --fresh\nfor k in range(2):\n    set_trace()\n    z = k\n", ["p ('at', k)", "c", "q"])
    assert "('at', 0)" in shown, shown


RESUMED = """%%checkpointed resumed --every 0.05s --budget 90%
class Trainer:
    def __init__(self):
        self.seen = []
    def fit(self, n):
        for i in range(n):
            time.sleep(0.02)
            self.seen.append(i)
            note(f"step {i}")
            if i == 30:
                self.check(i, len(self.seen))
    def check(self, i, count):
        for _ in range(2):
            raise ValueError(f"at {i} with {count}")
trainer = Trainer()
trainer.fit(40)
"""


@pytest.mark.parametrize("stack", STACKS)
def test_after_a_resume_errors_debugger_and_sources_are_the_users_too(stack: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, STACKS[stack])
    with machine.kernel() as kernel:
        kernel.run(SETUP)
        assert kernel.run(RESUMED, kill_when=lambda: "step 15" in machine.lines()).died
    killed = len(machine.lines())
    with machine.kernel() as kernel:
        kernel.run(SETUP)
        failed: Output = kernel.run(RESUMED)
        assert arrows(failed.error) == ["trainer.fit(40)", "self.check(i, len(self.seen))", 'raise ValueError(f"at {i} with {count}")'], plain(failed.error)
        assert "ValueError: at 30 with 31" in plain(failed.error)
        assert not OURS.search(plain(failed.error)), plain(failed.error)
        assert "Trainer.fit(self, n)" in plain(failed.error) or "fit(self, n)" in plain(failed.error), plain(failed.error)
        assert len(machine.lines()) < killed + 31, "it began again"
        shown = asked(kernel, "%debug", ["p ('here', i, count)", "up", "p ('fit', i, n, len(self.seen))", "q"])
        assert "('here', 30, 31)" in shown and "('fit', 30, 40, 31)" in shown, shown
        assert kernel.run("inspect.getsource(Trainer.fit).splitlines()[0].strip()").value == "'def fit(self, n):'"
        assert kernel.run("Trainer.fit.__qualname__, [n for n in Trainer.fit.__code__.co_varnames if n.startswith('_cg')]").value == "('Trainer.fit', [])"
