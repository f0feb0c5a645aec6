"""A disk that is really full, in the middle of a commit: a small file system in memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from colab_guard.errors import StoreFull
from colab_guard.store import Store, disk, verify
from tests.store.test_store import ME, draft

DISK_BYTES = 6 * 2**20
STATE_BYTES = 2**20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB; mounting needs root, as the check's container has it."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, left: int) -> Path:
    """Another program's file, which leaves so many bytes."""
    status = os.statvfs(folder)
    path = folder / "ballast"
    path.write_bytes(bytes(max(status.f_bavail * status.f_frsize - left, 0)))
    return path


def newest(path: Path) -> bytes:
    loaded, passed = Store.view(path).newest()
    assert loaded is not None and passed == []
    return loaded.parts["graph"]


def test_older_state_makes_room_where_the_disk_fills_up_in_the_middle_of_a_commit(small: Path) -> None:
    store = Store.open(small / "s", ME)
    for number in range(3):
        store.commit(draft(f"step {number}", os.urandom(STATE_BYTES)))
    fill(small, STATE_BYTES // 2)
    store.commit(draft("made room", os.urandom(STATE_BYTES)))
    assert newest(small / "s") == b"made room"
    assert verify(small / "s") == []
    store.close()


def test_a_disk_that_stays_full_costs_no_commit_and_work_goes_on_when_there_is_space(small: Path) -> None:
    store = Store.open(small / "s", ME)
    store.commit(draft("saved", os.urandom(STATE_BYTES)))
    ballast = fill(small, STATE_BYTES // 2)
    for _ in range(3):
        with pytest.raises(StoreFull, match="free some space"):
            store.commit(draft("no room", os.urandom(STATE_BYTES)))
        assert newest(small / "s") == b"saved"
    assert not list((small / "s").rglob(f"{disk.TEMPORARY}*")), "what was half written stays"
    ballast.unlink()
    for number in range(4):
        store.commit(draft(f"again {number}", os.urandom(STATE_BYTES)))
    assert newest(small / "s") == b"again 3"
    assert sum(path.stat().st_size for path in (small / "s" / "packs").iterdir()) < 2.1 * STATE_BYTES
    store.close()
