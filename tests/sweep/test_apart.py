"""Why a run's process has died, in words; and what may go to a process of its own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from colab_guard.errors import BadOption
from colab_guard.hosts.gauges import group_kills, total
from colab_guard.sweep import Sweep, grid
from colab_guard.sweep.apart import home_of
from colab_guard.sweep.failure import RunFailed, cause_of_death
from colab_guard.sweep.job import pack


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("status", "kills", "tail", "words"),
    [
        (-signal.SIGKILL, (0, 1), [], "out of memory: the system killed"),
        (-signal.SIGKILL, (3, 3), [], "killed (SIGKILL), and not by the system for want of memory"),
        (-signal.SIGKILL, (None, None), [], "this system does not tell"),
        (-signal.SIGABRT, (0, 0), ["terminate called after throwing an instance of 'std::bad_alloc'"], "out of memory: its process ended by SIGABRT"),
        (-signal.SIGSEGV, (0, 0), ["Fatal Python error"], "crashed (SIGSEGV)"),
        (3, (0, 0), [], "ended by itself, with status 3"),
    ],
)
def test_the_cause_of_death_is_what_is_known(status: int, kills: tuple[int | None, int | None], tail: list[str], words: str) -> None:
    assert words in cause_of_death(status, kills, tail)


@pytest.mark.parametrize(
    ("group", "file"),
    [("0::/user/job\n", "sys/fs/cgroup/user/job/memory.events"), ("4:memory:/batch\n0::/\n", "sys/fs/cgroup/memory/batch/memory.oom_control")],
)
def test_kills_are_counted_in_the_group_of_the_process(tmp_path: Path, group: str, file: str) -> None:
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/cgroup").write_text(group)
    assert total(group_kills(7, tmp_path)) is None
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("oom 3\noom_kill 2\n")
    assert total(group_kills(7, tmp_path)) == 2


def test_a_run_keeps_the_error_and_traceback_of_its_process() -> None:
    run = Sweep("kept", grid(a=[1]))[0]
    run.fail(RunFailed("ValueError: no luck", "Traceback ...\nValueError: no luck"))
    assert (run.error, run.traceback) == ("ValueError: no luck", "Traceback ...\nValueError: no luck")


def test_without_isolate_the_function_is_called_here() -> None:
    sweep = Sweep("here", grid(a=[1, 2]))
    for run in sweep:
        with run:
            run.do(lambda run: run.log(twice=2 * run.params["a"]))
    assert [run.metrics for run in sweep.runs] == [{"twice": 2}, {"twice": 4}]


def test_what_cannot_go_to_another_process_is_named(home: Path) -> None:
    run = Sweep("open", grid(a=[1]), isolate=True)[0]
    names: dict[str, object] = {"__name__": "__main__", "socket": __import__("socket").socket()}
    exec("def train(run):\n    socket.send(b'')", names)
    with names["socket"], pytest.raises(BadOption, match="train cannot go to a process of its own"):  # type: ignore[attr-defined]
        pack(home_of(run), run, names["train"], {})  # type: ignore[arg-type]


def test_a_sweep_of_processes_comes_back_as_one() -> None:
    made = Sweep("again", grid(a=[1]), isolate=True)
    assert made.made()["isolate"] is True and made.__reduce__()[1][1]["isolate"] is True


def test_a_loop_that_never_calls_do_is_stopped_with_what_to_type() -> None:
    with pytest.raises(BadOption, match=r"write run\.do\(train\) in the loop"):
        for run in Sweep("body", grid(a=[1, 2]), isolate=True):
            with run:
                pass
