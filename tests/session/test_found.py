from __future__ import annotations

from pathlib import Path

import pytest

from colab_guard.session import Guard, Session, found
from colab_guard.store import CommitDraft, Identity, Store


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def save(folder: Path, *kinds: str) -> None:
    store = Store.open(folder, Identity(folder.name, "nb.ipynb"))
    for number, kind in enumerate(kinds):
        store.commit(CommitDraft(kind=kind, position={"text": f"item {number}"}, parts={"x": b"1"}))  # type: ignore[arg-type]
    store.close()


def test_a_cell_that_had_not_ended_is_found_to_resume(home: Path) -> None:
    save(home / "going", "step", "step")
    save(home / "done", "step", "cell")
    assert [(f.name, f.to_resume) for f in found.look()] == [("done", False), ("going", True)]
    assert found.names() == ["done", "going"]


def test_checkpoints_of_one_name_are_told_newest_first(home: Path) -> None:
    save(home / "going", "step", "step")
    lines = str(Guard(Session).checkpoints("going")).splitlines()
    assert lines[0].startswith("going: ")
    assert "item 1" in lines[1]


def test_checkpoints_of_a_name_without_a_store_is_one_line(home: Path) -> None:
    lines = str(Guard(Session).checkpoints("never")).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("never: cannot be read")
    assert not home.exists()


def test_looking_writes_nothing_and_a_damaged_store_is_named(home: Path) -> None:
    save(home / "going", "step")
    (home / "going" / "FORMAT").write_text("something else\n")
    before = sorted((p, p.stat().st_mtime_ns) for p in home.rglob("*"))
    (one,) = found.look()
    assert one.problem
    assert not one.to_resume
    assert sorted((p, p.stat().st_mtime_ns) for p in home.rglob("*")) == before
