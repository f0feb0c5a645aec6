"""`colab-guard` in a terminal: a notebook runs to its end though its kernel dies, and stores can be looked at."""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from colab_guard.cli import main
from colab_guard.cli.runner import run_notebook
from colab_guard.hosts import blackbox
from colab_guard.store import BufferDraft, CommitDraft, Described, Identity, Store, describe
from colab_guard.store.leases import Owner
from tests.store.test_store import filled


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def notebook(path: Path, *cells: str) -> Path:
    nbformat.write(new_notebook(cells=[new_markdown_cell("# words"), *map(new_code_cell, cells)]), path)
    return path


DYING = """%%checkpointed dying --every 0.05s --budget 90%
import os, pathlib, signal, time
out = []
for i in range(30):
    time.sleep(0.02)
    out.append(i * i)
    marks = pathlib.Path(os.environ["COLAB_GUARD_HOME"], "marks.txt")
    with marks.open("a") as file:
        file.write(f"{i}\\n")
    if i in (9, 19) and marks.read_text().split().count(str(i)) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
sum(out)
"""


def test_a_notebook_whose_kernel_dies_twice_is_run_to_its_end(tmp_path: Path, home: Path) -> None:
    source = notebook(tmp_path / "a.ipynb", "%load_ext colab_guard", DYING, "print('the end', sum(out))")
    said = io.StringIO()
    assert run_notebook(source, output=tmp_path / "b.ipynb", out=said) == 0
    assert said.getvalue().count("the kernel died: killed by SIGKILL") == 2
    executed = nbformat.read(tmp_path / "b.ipynb", as_version=4)
    assert "the end 8555" in executed.cells[-1].outputs[0].text
    assert nbformat.read(source, as_version=4).cells[-1].outputs == []
    marks = (home / "marks.txt").read_text().split()
    assert len(marks) < 30 + 2 * 9, "it began again instead of going on"


def test_a_kernel_that_keeps_dying_is_given_up_with_its_own_status(tmp_path: Path) -> None:
    source = notebook(tmp_path / "a.ipynb", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    said = io.StringIO()
    assert run_notebook(source, retries=1, out=said) == 3
    assert "given up after 2 kernels" in said.getvalue()


def test_a_failing_cell_ends_the_run_and_the_next_one_does_not_run(tmp_path: Path) -> None:
    source = notebook(tmp_path / "a.ipynb", "%load_ext colab_guard", "%%checkpointed f\nfor i in range(3):\n    1 / (1 - i)", "print('never')")
    said = io.StringIO()
    assert run_notebook(source, out=said) == 1
    assert "ZeroDivisionError" in said.getvalue() and "never" not in said.getvalue().replace("print('never')", "")
    executed = nbformat.read(source, as_version=4)
    assert [o.output_type for o in executed.cells[2].outputs if o.output_type == "error"] == ["error"]
    assert executed.cells[3].outputs == []


def test_a_cell_that_asks_for_input_fails_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    said = io.StringIO()
    assert run_notebook(notebook(tmp_path / "a.ipynb", "name = input('who? ')"), out=said) == 1
    assert "StdinNotImplementedError" in said.getvalue()


def test_a_kernel_that_dies_while_it_starts_is_a_death_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ipykernel_launcher.py").write_text("raise SystemExit(9)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = io.StringIO()
    assert run_notebook(notebook(tmp_path / "a.ipynb", "1"), retries=1, out=said) == 3
    assert said.getvalue().count("the kernel died: it ended by itself with status 9") == 2


def test_bad_arguments_of_run_are_said_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(notebook(tmp_path / "a.ipynb", "1"))
    assert main(["run", source, "--output", str(tmp_path / "no" / "b.ipynb")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["run", source, "--retries", "-1"])
    assert ended.value.code == 2


@pytest.mark.parametrize("content", [None, "no json", json.dumps({"cells": 3})])
def test_what_is_no_notebook_is_one_clear_line(tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.ipynb"
    if content is not None:
        path.write_text(content)
    assert main(["run", str(path)]) == 2
    assert re.fullmatch(r"colab-guard: .*a\.ipynb.*\n", capsys.readouterr().err)


def test_stores_can_be_looked_at_verified_and_stopped(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store.open(home / "work", Identity("work", ""))
    meta = {"inexact": ["torch 2.12 → 2.13"]}
    record = store.commit(CommitDraft("step", {"text": "iteration 3", "depth": 1}, {"graph": b"x" * 5000}, meta=meta))
    store.close()
    assert main(["status"]) == 0
    assert "work: " in capsys.readouterr().out
    assert main(["show", "work"]) == 0
    shown = capsys.readouterr().out
    assert record.id in shown and "not bit-exact since a resume: torch 2.12 → 2.13" in shown
    assert main(["verify", "work"]) == 0
    pack = next((home / "work" / "packs").iterdir())
    data = bytearray(pack.read_bytes())
    data[100] ^= 1
    pack.write_bytes(data)
    assert main(["verify", "work"]) == 1
    assert "damaged" in capsys.readouterr().out
    assert main(["stop", "work"]) == 0
    assert "not running" in capsys.readouterr().out
    running = Store.open(home / "work", Identity("work", ""))
    assert main(["stop", "work"]) == 0
    assert "asked work to save and stop" in capsys.readouterr().out
    assert (home / "work.requests" / "stop").exists()
    running.close()
    assert main(["stop", "nothing"]) == 2
    assert main(["show", "nothing"]) == 2


def test_doctor_says_what_the_host_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert "host " in capsys.readouterr().out


STOPPING = """%%checkpointed edited --every 0.001s --budget 90%
for epoch in range(4):
    result = learning_rate * epoch
    if epoch == 2 and not os.path.exists("stopped"):
        open("stopped", "w").close()
        raise RuntimeError("lost here")
"""


def test_a_changed_input_ends_an_unattended_run_with_a_status_of_its_own_and_the_inputs_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, guard = "import os\nlearning_rate = 0.1", "%load_ext colab_guard"
    assert run_notebook(notebook(tmp_path / "a.ipynb", guard, first, STOPPING), out=io.StringIO()) == 1
    said = io.StringIO()
    edited = notebook(tmp_path / "a.ipynb", guard, first.replace("0.1", "0.25"), STOPPING, "print('never')")
    assert run_notebook(edited, out=said) == 4
    last = said.getvalue().splitlines()[-1]
    assert last.startswith("cell 3 failed: InputChanged: ")
    assert "learning_rate: 0.1 → 0.25" in last and "--resume" in last and "--fresh" in last
    resumed = notebook(tmp_path / "a.ipynb", guard, first.replace("0.1", "0.25"), STOPPING.replace("edited", "edited --resume", 1), "print(result)")
    said = io.StringIO()
    assert run_notebook(resumed, out=said) == 0, said.getvalue()
    assert "0.3" in said.getvalue()


def test_a_mistyped_word_of_a_magic_fails_the_run(tmp_path: Path) -> None:
    source = notebook(tmp_path / "a.ipynb", "%load_ext colab_guard", "%memguard 85", "print('never')")
    said = io.StringIO()
    assert run_notebook(source, out=said) == 1
    assert "cell 2 failed: UsageError: " in said.getvalue()


def test_the_help_of_run_tells_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "-h"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(f"{status} " in text for status in (0, 1, 2, 3, 4, 130))
    assert "%%checkpointed line" in text


def test_what_widgets_showed_before_is_not_in_the_executed_notebook(tmp_path: Path) -> None:
    source = notebook(tmp_path / "a.ipynb", "1")
    book = nbformat.read(source, as_version=4)
    book.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2, "version_minor": 0}}
    nbformat.write(book, source)
    assert run_notebook(source, output=tmp_path / "b.ipynb", out=io.StringIO()) == 0
    assert "widgets" not in nbformat.read(tmp_path / "b.ipynb", as_version=4).metadata


def test_a_process_of_before_a_reboot_runs_no_more(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = Owner.me()
    monkeypatch.setattr(Owner, "me", classmethod(lambda cls: replace(real, boot="an earlier boot")))
    held = Store.open(home / "work", Identity("work", ""))
    held.commit(CommitDraft("step", {"text": "here", "depth": 1}, {"graph": b"x"}))
    monkeypatch.setattr(Owner, "me", classmethod(lambda cls: real))
    assert [main([*words.split()]) for words in ("show work", "stop work", "doctor")] == [0, 0, 0]
    told = capsys.readouterr().out
    assert "held by nobody; written last by" in told and "work is not running here" in told and "no guarded work is running here" in told
    monkeypatch.setattr(Owner, "me", classmethod(lambda cls: replace(real, host="another machine")))
    assert main(["show", "work"]) == 0
    assert f"held by process {os.getpid()} on {real.host}" in capsys.readouterr().out, "of another machine nobody can tell"


def test_a_damaged_newest_record_is_named_by_show_and_status(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(home / "work", 3, 5000)
    newest = max((home / "work" / "commits").iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    for words in (["status"], ["show", "work"]):
        assert main(words) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if newest.stem in line]
        assert len(lines) == 1 and "cannot be read" in lines[0] and "cut short" in lines[0] and "colab-guard verify" in lines[0]
    assert main(["show", "work", "--json"]) == 0
    assert [one["commit"] for one in json.loads(capsys.readouterr().out)["unreadable"]] == [newest.stem]


def test_status_moves_no_cursor_and_shows_what_cannot_be_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(home / "work", Identity("work", ""))
    store.commit(CommitDraft("step", {"text": "a\x1b[2Jb"}, {"graph": b"x"}))
    store.close()
    assert main(["status"]) == 0
    assert "at a�[2Jb;" in capsys.readouterr().out
    rows = [replace(row, position="x\ud800") for row in describe(home / "work").rows]
    monkeypatch.setattr("colab_guard.store.describe", lambda path: Described(rows, 1, []))
    monkeypatch.setattr(blackbox, "last_kernel", lambda home: "died\nat \ud800 \x1b[2J")
    assert main(["status"]) == 0
    assert "at x�;" in (told := capsys.readouterr().out) and "died\nat � �[2J" in told


def test_a_home_folder_of_nobody_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", "~nobody-of-that-name/x")
    for words in (["status"], ["doctor"], ["show", "work"], ["stop", "work"]):
        assert main(words) == 2
        assert re.fullmatch("colab-guard: COLAB_GUARD_HOME=~nobody-of-that-name/x: there is no user .*\n", capsys.readouterr().err)


def test_show_tells_what_each_commit_changed_and_who_holds_the_store(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store.open(home / "work", Identity("work", "/nb/work.ipynb"))
    for number in range(30):
        buffers = [BufferDraft("b0", bytes([number]) * 3000, "float32", (30, 25), (25, 1), "model.weight"), BufferDraft("b1", b"x" * 2000, label="same")]
        unit = {"group": "lora", "key": f"run{number}", "record": {"loss": 1}}
        text = f"step {number}\x1b[2J\n"
        record = store.commit(CommitDraft("unit", {"text": text, "depth": 1}, {"graph": b"g"}, buffers, unit=unit))
    assert main(["show", "work"]) == 0
    told = capsys.readouterr().out
    assert f"held by process {os.getpid()}" in told.splitlines()[0]
    assert record.id in told and "changed  model.weight 2.9 KiB" in told and "unit     lora run29" in told and "same" not in told
    assert "\x1b" not in told and "step 29" in told and "step 10" in told and "step 9" not in told and "and 10 older" in told
    store.close()
    assert main(["show", "work", "--all"]) == 0
    assert "held by nobody; written last by process" in capsys.readouterr().out
    assert main(["show", "work", "--commit", record.id[:19]]) == 0
    told = capsys.readouterr().out
    assert re.search(r"model\.weight +2\.9 KiB  float32   30x25  stride 25,1", told) and "graph" in told
    assert main(["show", "work", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["commits"][0]["commit"] == record.id and data["commits"][0]["changed"][0]["name"] == "model.weight"
    assert main(["show", "work", "--commit", "0000"]) == 2
    assert "commits have ids like that" in capsys.readouterr().err
