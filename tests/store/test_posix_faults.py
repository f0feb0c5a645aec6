"""Calls of the operating system fail under a working store: what was saved stays, and work goes on; see `tests.store.faults`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from colab_guard.store import Store, disk
from tests.store.faults.run import rounds
from tests.store.test_store import ME, draft, filled


def test_random_faults_cost_no_commit_and_leave_nothing_behind(tmp_path: Path) -> None:
    found = rounds(tmp_path, 40, seed=3)
    assert found.wrong == []
    assert found.faults > 50 and found.failed > 20 and found.after == 80


def test_a_commit_is_saved_also_where_older_ones_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s", 2, 5000)
    store = Store.open(tmp_path / "s", ME)
    store.newest()

    def fixed(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fixed)
        patch.setattr(Path, "unlink", fixed)
        for number in range(3):
            store.commit(draft(f"kept {number}", os.urandom(5000)))
        assert "Read-only" in store.not_removed
    store.commit(draft("last", os.urandom(5000)))
    assert store.not_removed == ""
    assert len(list((tmp_path / "s" / "commits").iterdir())) == 2
    assert len(list((tmp_path / "s" / "packs").iterdir())) == 2
    store.close()


def test_a_full_disk_is_told_as_such_also_where_the_half_written_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fixed(*arguments: object, **options: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(disk, "_write_all", full)
    monkeypatch.setattr(Path, "unlink", fixed)
    with pytest.raises(OSError, match="No space"):
        disk.write_whole(tmp_path / "a", [b"x"])


def test_leases_that_cannot_be_listed_are_an_error_and_no_empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s", 1, 500)

    def broken(path: object = ".") -> list[str]:
        raise OSError(errno.EIO, "Input/output error")

    view = Store.view(tmp_path / "s")
    monkeypatch.setattr(os, "listdir", broken)
    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(OSError, match="Input/output"):
        view.newest()
