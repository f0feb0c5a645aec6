"""`%keepalive --release` and `--notify` with real cells, a real store and mirror, and Colab's imitation: from the words to `unassign()`."""

from __future__ import annotations

import gc
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from colab_guard import extension, session
from colab_guard.events import Event, HostLimitNear, RuntimeReleased, SnapshotDurable, SnapshotSaved
from colab_guard.hosts import places
from colab_guard.hosts.fake_colab import FakeColab
from colab_guard.keepalive import alive, release
from colab_guard.session import checkpointing
from colab_guard.snapshots.engine import Engine
from colab_guard.store import FolderPlace
from tests.keepalive.test_notify import Server, server, texts

__all__ = ["server"]

CELL = "%%checkpointed {name} {where}\ntotal = 0\nfor step in range(5):\n    total += step\ntotal"


class Notebook:
    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.events: list[Event] = []
        session.current(shell).bus.subscribe(lambda event, at: self.events.append(event))

    def cell(self, code: str) -> bool:
        return bool(self.shell.run_cell(code).success)

    def decided(self) -> RuntimeReleased:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = [event for event in self.events if isinstance(event, RuntimeReleased)]
            if found:
                return found[0]
            time.sleep(0.02)
        raise TimeoutError(str(self.events[-5:]))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeColab]:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("COLAB_GUARD_KEY", "not asked for")
    monkeypatch.setattr(release, "QUIET_S", 0.3)
    monkeypatch.setattr(release, "LOOK_S", 0.05)
    os.makedirs(tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    with FakeColab() as made:
        yield made


def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder counts as one of another machine, whose fsync proves that it has the bytes."""
    monkeypatch.setattr(places, "proves_durability", lambda folder: "nfs4: the server acknowledges fsync")


@pytest.fixture
def notebook(machine: FakeColab) -> Iterator[Notebook]:
    InteractiveShell.clear_instance()
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    assert shell.run_cell("%load_ext colab_guard").success
    yield Notebook(shell)
    extension.unload(shell)
    InteractiveShell.clear_instance()


def test_a_cell_whose_end_is_durable_lets_the_machine_go(
    notebook: Notebook, machine: FakeColab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven(monkeypatch)
    assert notebook.cell("%keepalive --release")
    assert notebook.cell(CELL.format(name="lora", where=f"--to {tmp_path}/far"))
    assert notebook.decided() == RuntimeReleased()
    assert machine.unassigned and any(isinstance(event, SnapshotDurable) for event in notebook.events)
    assert notebook.shell.user_ns["total"] == 10


@pytest.mark.parametrize(
    ("where", "why"),
    [("", "saved on this machine alone; put --to on its"), ("--to {far}", "far cannot prove that it has it")],
)
def test_a_cell_whose_end_is_not_durable_keeps_it_and_says_why(
    where: str, why: str, notebook: Notebook, machine: FakeColab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert notebook.cell("%keepalive --release")
    assert notebook.cell(CELL.format(name="lora", where=where.format(far=tmp_path / "far")))
    kept = notebook.decided().kept
    assert kept.startswith("lora is not durable: ") and not machine.unassigned
    assert __import__("re").search(why, kept), kept
    capsys.readouterr()
    notebook.cell("%keepalive status")
    assert f"The machine is KEPT: {kept}." in capsys.readouterr().out


def test_that_the_machine_will_be_kept_is_said_when_the_work_begins(notebook: Notebook, tmp_path: Path) -> None:
    assert notebook.cell("%keepalive --release")
    notebook.shell.user_ns["ask"] = lambda: str(session.current(notebook.shell).keepalive.status())
    assert notebook.cell(f"%%checkpointed lora --to {tmp_path}/far\nfor step in range(2):\n    said = ask()")
    assert f"The machine will be KEPT after lora: {tmp_path}/far cannot prove" in notebook.shell.user_ns["said"]


def test_a_cell_that_failed_and_plain_work_keep_it(notebook: Notebook, machine: FakeColab) -> None:
    assert notebook.cell("%keepalive --release")
    assert notebook.cell("import colab_guard\nwith colab_guard.work('evaluation'):\n    pass")
    assert "with work() saves nothing" in notebook.decided().kept
    notebook.events.clear()
    assert not notebook.cell("%%checkpointed broken\nfor step in range(3):\n    1 / 0")
    assert "evaluation is not durable" in notebook.decided().kept and not machine.unassigned


def test_what_was_restored_has_to_be_durable_as_well(
    notebook: Notebook, machine: FakeColab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven(monkeypatch)
    assert notebook.cell(CELL.format(name="first", where=""))
    assert notebook.cell("%keepalive --release")
    assert notebook.cell(CELL.format(name="first", where=""))
    assert notebook.cell(CELL.format(name="second", where=f"--to {tmp_path}/far"))
    assert notebook.decided().kept.startswith("first is not durable: it is saved on this machine alone")
    notebook.events.clear()
    assert notebook.cell(CELL.format(name="first", where=f"--to {tmp_path}/far"))
    assert notebook.cell("%%checkpointed third --to " + f"{tmp_path}/far\nfor step in range(2):\n    last = step")
    assert notebook.decided() == RuntimeReleased() and machine.unassigned


@pytest.mark.parametrize("word", ["--release", ""])
def test_of_a_cell_that_has_ended_only_how_it_ended_is_held(word: str, notebook: Notebook, tmp_path: Path) -> None:
    before = {id(held) for held in gc.get_objects() if isinstance(held, (checkpointing.GuardedCell, Engine))}
    assert notebook.cell(f"%keepalive {word}")
    assert notebook.cell(CELL.format(name="lora", where=f"--to {tmp_path}/far"))
    assert session.current(notebook.shell).keepalive.release._ended["lora"].outcome == "done"
    gc.collect()
    assert not {id(held) for held in gc.get_objects() if isinstance(held, (checkpointing.GuardedCell, Engine))} - before


def test_without_the_word_or_after_off_it_stays(notebook: Notebook, machine: FakeColab) -> None:
    assert notebook.cell("%keepalive --release")
    assert notebook.cell("%keepalive off")
    assert notebook.cell(CELL.format(name="lora", where=""))
    assert session.current(notebook.shell).keepalive.release._worker is None and not machine.unassigned


@pytest.mark.parametrize("word", ["--release", ""])
def test_a_slow_mirror_is_waited_for_where_the_machine_is_to_be_let_go(
    word: str, notebook: Notebook, machine: FakeColab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven(monkeypatch)
    monkeypatch.setattr(checkpointing, "MIRROR_CLOSE_S", 0.05)
    send = FolderPlace.send

    def slowly(self: FolderPlace, source: Path, *given: Any, **more: Any) -> Any:
        time.sleep(0.4)
        return send(self, source, *given, **more)

    monkeypatch.setattr(FolderPlace, "send", slowly)
    assert notebook.cell(f"%keepalive {word}")
    assert notebook.cell(CELL.format(name="lora", where=f"--to {tmp_path}/far"))
    cell = session.current(notebook.shell).keepalive.release._ended["lora"]
    assert (cell.only_here() == "") is (word == "--release")
    assert word == "" or notebook.decided() == RuntimeReleased()


def test_the_end_and_a_decision_are_told_and_the_address_is_in_no_output(
    notebook: Notebook, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert notebook.cell(f"%keepalive --notify {server.url}/hook/my-topic")
    assert notebook.cell(CELL.format(name="lora", where=""))
    assert re.match(r"lora: done: done after \d+ (s|min) on Google Colab", texts(server)[-1])
    assert not notebook.cell(CELL.format(name="lora", where="").replace("range(5)", "range(3 + 3)"))
    assert texts(server)[-1].startswith("lora needs you: ") and "--fresh" in texts(server)[-1]
    assert notebook.cell("%keepalive doctor")
    out = "".join(capsys.readouterr())
    assert "notifies http://127.0.0.1" in out and "my-topic" not in out


def test_before_the_hosts_end_the_running_cell_is_saved_although_its_schedule_would_wait(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "LIMIT_LOOK_S", 0.05)
    keepalive = session.current(notebook.shell).keepalive
    began = time.time() - 12 * 3600 + 300
    monkeypatch.setattr(keepalive, "_started", lambda: began)
    notebook.shell.user_ns["saved"] = lambda: any(
        isinstance(event, SnapshotSaved) for event in notebook.events[[isinstance(e, HostLimitNear) for e in notebook.events].index(True) :]
    ) if any(isinstance(e, HostLimitNear) for e in notebook.events) else False
    assert notebook.cell("%keepalive")
    cell = "import time\nuntil = time.monotonic() + 60\nfor step in range(10_000_000):\n    if saved() or time.monotonic() > until:\n        break\n    time.sleep(0.01)"
    assert notebook.cell(f"%%checkpointed lora --every 1h --budget 0.01%\n{cell}")
    assert notebook.shell.user_ns["step"] < 10_000_000 - 1 and time.monotonic() < notebook.shell.user_ns["until"]
    near = next(event for event in notebook.events if isinstance(event, HostLimitNear))
    assert near.limit_s == 12 * 3600 and 200 < near.left_s <= 300
