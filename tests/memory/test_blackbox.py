"""What became of the last kernel, as its sentinel saw it: real processes that come to their ends in different ways."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colab_guard.hosts import blackbox, gauges
from tests.memory.groups import Group, NotPermitted, memory_group

WITHIN_S = 20.0


def box_of(home: Path) -> Path:
    return home / blackbox.FOLDER / "1-1.json"


def ended(home: Path, end: str, act: Callable[[subprocess.Popen[str]], object] | None = None, group: Group | None = None) -> dict[str, Any] | None:
    """Run the stand-in to its end, as the kernel's parent does: not reaped at once. What the box holds then."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.memory.standin", str(box_of(home)), end]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    if group is not None:
        group.take(process.pid)
    sentinel = int(process.stdout.readline())
    if act is not None:
        act(process)
    until = time.monotonic() + WITHIN_S
    while gauges.started(sentinel) is not None and not gauges_zombie(sentinel) and time.monotonic() < until:
        time.sleep(0.02)
    assert gauges.started(sentinel) is None or gauges_zombie(sentinel), "the sentinel outlives its kernel"
    process.kill()
    process.wait()
    process.stdout.close()
    return blackbox.read(box_of(home))


def gauges_zombie(pid: int) -> bool:
    return gauges.wait_status(pid) is not None


def test_a_kernel_that_is_killed_is_said_to_be_and_not_called_out_of_memory(tmp_path: Path) -> None:
    record = ended(tmp_path, "wait", lambda process: process.send_signal(signal.SIGKILL))
    assert record is not None
    assert (record["end"]["how"], record["end"]["number"]) == ("signal", 9)
    told = blackbox.last_kernel(tmp_path)
    assert told.startswith("The last kernel here was killed by SIGKILL") and "out of memory" not in told
    assert told.endswith("It was at work on job: vit r4, step 400; saved: iteration 390.")
    assert len(told.splitlines()) == 2


@pytest.mark.parametrize(("end", "words"), [("status", "ended by itself with status 3"), ("crash", "killed by SIGABRT"), ("fork", "killed by SIGKILL")])
def test_other_ends_are_named(tmp_path: Path, end: str, words: str) -> None:
    ended(tmp_path, end)
    assert words in blackbox.last_kernel(tmp_path)


@pytest.mark.parametrize("end", ["close", "return"])
def test_of_a_kernel_that_ended_as_it_should_nothing_is_said(tmp_path: Path, end: str) -> None:
    record = ended(tmp_path, end)
    assert record is not None and record["end"]["how"] == "clean"
    assert blackbox.last_kernel(tmp_path) == ""


def test_a_kernel_that_the_system_killed_for_memory_is_called_that(tmp_path: Path) -> None:
    try:
        with memory_group(200 * 2**20) as group:
            ended(tmp_path, "grow", group=group)
    except NotPermitted as reason:
        pytest.skip(f"no memory cgroup can be made here: {reason}")
    told = blackbox.last_kernel(tmp_path)
    assert told.startswith("The last kernel here was killed by the system: out of memory (")
    assert "of 0.2 GiB used" in told


@pytest.fixture
def record(tmp_path: Path) -> dict[str, Any]:
    """A box whose kernel and sentinel have gone without a word."""
    kills = tmp_path / "memory.events"
    kills.write_text("low 0\noom_kill 1\n")
    found = {
        "format": blackbox.FORMAT, "boot": gauges.boot_id(), "pid": 2**30, "started": 1, "notebook": "a.ipynb", "began": 0.0,
        "written": time.time(), "work": "job", "at": {}, "limit": 2**30, "kills": {str(kills): 1}, "end": None, "series": [], "marks": [],
    }  # fmt: skip
    blackbox.write(box_of(tmp_path), found)
    return found


def test_a_machine_that_was_started_anew_is_told_by_its_boot(tmp_path: Path, record: dict[str, Any]) -> None:
    blackbox.write(box_of(tmp_path), record | {"boot": "another"})
    assert "was lost with its machine" in blackbox.last_kernel(tmp_path)


def test_an_idle_kernel_that_is_restarted_is_nothing_to_speak_of(tmp_path: Path, record: dict[str, Any]) -> None:
    for change in ({}, {"boot": "another"}, {"end": {"how": "signal", "number": 9, "at": time.time()}}):
        blackbox.write(box_of(tmp_path), record | {"work": ""} | change)
        assert blackbox.last_kernel(tmp_path) == ""
    blackbox.write(box_of(tmp_path), record | {"work": "", "end": {"how": "memory", "number": 0, "at": time.time()}})
    assert "out of memory" in blackbox.last_kernel(tmp_path)


def test_where_the_sentinel_was_killed_too_the_counts_of_kills_tell(tmp_path: Path, record: dict[str, Any]) -> None:
    assert "without a word" in blackbox.last_kernel(tmp_path)
    (tmp_path / "memory.events").write_text("low 0\noom_kill 2\n")
    assert "out of memory" in blackbox.last_kernel(tmp_path)


def test_a_kernel_that_runs_another_notebooks_and_an_old_one_are_passed_by(tmp_path: Path, record: dict[str, Any]) -> None:
    assert blackbox.last_kernel(tmp_path, "a.ipynb") and not blackbox.last_kernel(tmp_path, "b.ipynb")
    assert not blackbox.last_kernel(tmp_path, now=time.time() + 8 * 86_400)
    mine = {"pid": os.getpid(), "started": gauges.started(os.getpid())}
    blackbox.write(box_of(tmp_path), record | mine)
    assert not blackbox.last_kernel(tmp_path)


def test_a_box_is_private_and_the_oldest_are_let_go(tmp_path: Path, record: dict[str, Any]) -> None:
    folder = tmp_path / blackbox.FOLDER
    for number in range(20):
        blackbox.write(folder / f"{number}-2.json", record)
    blackbox.keep_newest(folder)
    assert len(list(folder.iterdir())) == blackbox.KEPT
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', json.dumps({"format": 1})])
def test_a_damaged_box_says_nothing_and_breaks_nothing(tmp_path: Path, content: str) -> None:
    box_of(tmp_path).parent.mkdir()
    box_of(tmp_path).write_text(content)
    assert blackbox.last_kernel(tmp_path) == ""
