"""Who writes a local store: a living holder is known whatever the clock does, and one that was displaced is told so in time."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from colab_guard.errors import StoreDamaged, StoreInUse
from colab_guard.store import FolderPlace, Store, Watch, leases, packs, writer, writing
from colab_guard.store.leases import Lease, Owner, one_at_a_time, read_leases
from colab_guard.store.signing import signed
from tests.store.test_store import ME, draft


def after(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, then: Callable[[], object]) -> None:
    """Once, `then` happens after the function has done its work."""
    real = getattr(module, name)

    def done(*arguments: Any) -> Any:
        monkeypatch.setattr(module, name, real)
        found = real(*arguments)
        then()
        return found

    monkeypatch.setattr(module, name, done)


def test_a_writer_that_is_displaced_while_it_writes_its_pack_is_told_that_its_commit_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, owners = Store.open(tmp_path / "s", ME), []
    old.commit(draft("old"))

    def take_over() -> None:
        owners.append(Store.open(tmp_path / "s", ME, take_over=True))
        owners[0].commit(draft("theirs"))

    after(monkeypatch, writing, "write_pack", take_over)
    with pytest.raises(StoreInUse, match="taken over by another process"):
        old.commit(draft("mine", os.urandom(3000)))
    assert [record.position["text"] for record in Store.view(tmp_path / "s").commits()] == ["theirs", "old"]
    assert len(list((tmp_path / "s" / "commits").iterdir())) == 2, "a record that never counts was written"
    owners[0].close()


def test_nobody_takes_a_store_over_while_a_commits_record_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path / "s", ME)

    def nobody_else() -> None:
        with (tmp_path / "s" / "FORMAT").open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    after(monkeypatch, writer, "write_record", nobody_else)
    store.commit(draft("mine"))
    store.close()


def test_a_child_that_was_forked_meanwhile_does_not_keep_others_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    waiting, ending = os.pipe()
    with one_at_a_time(tmp_path / "file"):
        child = os.fork()
        if child == 0:
            os.close(ending)
            os.read(waiting, 1)
            os._exit(0)
    with (tmp_path / "file").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(ending)
    os.waitpid(child, 0)
    os.close(waiting)


def test_a_store_whose_folder_was_removed_is_not_said_to_be_taken_over(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s", ME)
    store.commit(draft("a"))
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(StoreDamaged, match=r"/s was removed while it was written.*run again") as caught:
        store.commit(draft("b"))
    assert "\n" not in str(caught.value)
    store.close()
    assert not (tmp_path / "s").exists()


def test_a_folder_that_is_removed_in_the_middle_of_a_commit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path / "s", ME)
    after(monkeypatch, writing, "write_pack", lambda: shutil.rmtree(tmp_path / "s"))
    with pytest.raises(StoreDamaged, match="was removed while it was written"):
        store.commit(draft("a"))


def test_a_living_holder_is_known_after_the_clock_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path / "s", ME)
    before = psutil.Process().create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: before + 3600)
    with pytest.raises(StoreInUse, match="this kernel"):
        Store.open(tmp_path / "s", ME)
    store.close()


def test_a_living_holder_of_a_mirror_is_waited_for_after_the_clock_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        before, me = psutil.Process(other.pid).create_time(), Owner.me()
        owner = Owner(other.pid, before, me.boot, me.host, leases.start_ticks(other.pid))
        (tmp_path / "leases").mkdir()
        leases.write_lease(tmp_path / "leases", Lease(1, owner, "", None, 0.0))
        monkeypatch.setattr(psutil.Process, "create_time", lambda process: before - 1)
        assert Watch(FolderPlace(tmp_path), "a", 0.0).lease is not None
        other.kill()
        other.wait()
        assert Watch(FolderPlace(tmp_path), "a", 0.0).lease is None


def test_a_writer_that_was_displaced_clears_nothing(tmp_path: Path) -> None:
    old = Store.open(tmp_path / "s", ME)
    old.commit(draft("old"))
    new = Store.open(tmp_path / "s", ME, take_over=True)
    with pytest.raises(StoreInUse, match="taken over"):
        old.clear()
    new.commit(draft("new"))
    assert [record.position["text"] for record in Store.view(tmp_path / "s").commits()] == ["new", "old"]
    new.close()


def test_a_process_that_began_at_another_time_is_not_the_holder() -> None:
    me = Owner.me()
    assert me.ticks is not None and me.lives()
    assert not replace(me, ticks=me.ticks + 1).lives()


def test_a_holder_of_the_first_writers_is_known_by_its_start_since_the_epoch(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s", ME)
    (path,) = (tmp_path / "s" / "leases").iterdir()
    content = json.loads(path.read_bytes())
    del content["owner"]["ticks"]
    path.unlink()
    data = signed(content)
    (path.parent / f"00000001-{packs.digest(data)[:16]}.json").write_bytes(data)
    (lease,), _ = read_leases(tmp_path / "s" / "leases")
    assert lease.owner.ticks is None and lease.owner.lives()
    assert not replace(lease.owner, started=lease.owner.started - 1).lives()
    store.close()


def test_a_name_in_brackets_with_blanks_does_not_shift_when_a_process_began(monkeypatch: pytest.MonkeyPatch) -> None:
    stat = b"7 (a) b) (c) S " + b" ".join(str(n).encode() for n in range(4, 53))
    monkeypatch.setattr(leases.Path, "read_bytes", lambda path: stat)
    assert leases.start_ticks(7) == 22


def test_a_record_that_could_not_be_written_is_not_said_to_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path / "s", ME)
    store.commit(draft("a"))

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_record", broken)
        with pytest.raises(OSError, match="Input/output"):
            store.commit(draft("b"))
    store.close()
    loaded, passed = Store.view(tmp_path / "s").newest()
    assert loaded is not None and loaded.parts["graph"] == b"a" and passed == []


def test_a_store_that_was_cleared_and_given_back_misses_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s", ME)
    store.commit(draft("a"))
    store.clear()
    store.close()
    assert Store.view(tmp_path / "s").newest() == (None, [])
