"""What a guarded cell says when the mirror it fetches from is slow, fails, is damaged or went on elsewhere."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from colab_guard import hosts
from colab_guard.errors import MirrorUnusable
from colab_guard.events import CommitPassedOver, Resumed
from colab_guard.session import mirroring
from colab_guard.store import FolderPlace, Mirror, Store
from colab_guard.store.mirror import reading
from colab_guard.workers import Workers
from tests.session.notebook import Kernel
from tests.session.test_mirroring import CELL, ME, Cell
from tests.store.test_fetching import flip
from tests.store.test_store import draft


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAUSE_S", 0.0)


def sent(root: Path, *sizes: int) -> Path:
    """A mirror in `root`/far, given back, of a store that is at `root`/made."""
    store = Store.open(root / "made", ME)
    mirror = Mirror(store, FolderPlace(root / "far/colab_guard/sweep"), workers=(workers := Workers()), every_s=0.01)
    for size in sizes:
        store.commit(draft(f"{size}", os.urandom(size)))
    assert mirror.flush(20)
    mirror.close(5)
    store.close()
    workers.stop()
    return root / "far"


def test_a_fetch_may_take_as_long_as_it_gets_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = sent(tmp_path, 16 * 2**20)
    real = FolderPlace.read

    def slow(self: FolderPlace, name: str, start: int = 0, length: int | None = None) -> bytes:
        if length is not None and length > 2**20 and "far" in str(self.path):
            time.sleep(0.3)
        return real(self, name, start, length)

    monkeypatch.setattr(FolderPlace, "read", slow)
    monkeypatch.setattr(mirroring, "FETCH_S", 1.0)
    began = time.monotonic()
    Cell(str(far)).far.look(tmp_path / "mine", ME)
    assert time.monotonic() - began > 1.0
    assert Store.view(tmp_path / "mine").newest()[0] is not None


def test_an_error_of_the_mirror_in_a_fetch_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = sent(tmp_path, 3000)

    def gone(self: FolderPlace, name: str, start: int = 0, length: int | None = None) -> bytes:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(FolderPlace, "read", gone)
    with pytest.raises(MirrorUnusable, match=r"not connected.*run the cell again.*leave --to out"):
        Cell(str(far)).far.look(tmp_path / "mine", ME)


def test_what_was_saved_here_and_went_on_elsewhere_is_told(tmp_path: Path) -> None:
    far = sent(tmp_path, 3000)
    shutil.copytree(tmp_path / "made", tmp_path / "mine")
    store = Store.open(tmp_path / "mine", ME)
    lost = store.commit(draft("here only", os.urandom(3000)))
    store.close()
    sent(tmp_path, 5000, 5000)
    cell = Cell(str(far))
    cell.far.look(tmp_path / "mine", ME)
    (told,) = cell.told(CommitPassedOver)
    assert isinstance(told, CommitPassedOver) and told.commit == lost.id and "saved on this machine only" in told.reason


def test_a_damaged_commit_of_the_mirror_is_told_once_with_its_reason(new_kernel: Callable[..., Kernel], tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    new_kernel().guarded(CELL, lose_at=4, to=str(tmp_path / "far"))
    flip(max((tmp_path / "far/colab_guard/work/commits").iterdir()))
    shutil.rmtree(hosts.home())
    second = new_kernel()
    second.guarded(CELL, to=str(tmp_path / "far"))
    (told,) = [event for event in second.events if isinstance(event, CommitPassedOver)]
    assert "cut short or damaged" in told.reason
    assert [event for event in second.events if isinstance(event, Resumed)] and second.names["total"] == 10
