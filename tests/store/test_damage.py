"""What cannot be read is said, and costs nothing that can."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from colab_guard.errors import ForeignStore, StoreFull
from colab_guard.store import Store, describe_newest, disk, verify
from colab_guard.store.index import state_packs
from tests.store.test_store import ME, draft, filled

pytestmark = pytest.mark.flaky(reruns=0)
"""A loss that was seen once is a loss: CI runs other tests that fail once more."""


def flip(path: Path, at: int = 9) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_mistyped_key_destroys_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s", 2, 5000)
    monkeypatch.setenv("COLAB_GUARD_KEY", "typo")
    store = Store.open(tmp_path / "s", ME)
    for number in range(4):
        store.commit(draft(f"other {number}", os.urandom(5000)))
    store.close()
    monkeypatch.delenv("COLAB_GUARD_KEY")
    view = Store.view(tmp_path / "s")
    texts = [view.load(record).parts["graph"] for record in view.commits()]
    assert texts == [b"other 3", b"other 2", b"commit 1", b"commit 0"]


def test_verify_tells_a_missing_pack_and_who_needs_it(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2, 5000)
    assert verify(tmp_path / "s") == []
    next((tmp_path / "s" / "packs").iterdir()).unlink()
    assert any("is missing; needed by 00000001-" in line for line in verify(tmp_path / "s"))


def test_a_damaged_pack_is_told_with_who_needs_it_and_shown_where_its_end_is_gone(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2, 5000)
    newest = describe_newest(tmp_path / "s", None).rows[0]
    assert newest.whole
    packs = state_packs(next(record for record in Store.view(tmp_path / "s").commits() if record.id == newest.commit))
    pack = tmp_path / "s" / "packs" / f"{min(packs)}.pack"
    flip(pack, at=100)
    assert [line for line in verify(tmp_path / "s") if "is damaged; needed by" in line and newest.commit in line]
    assert describe_newest(tmp_path / "s", None).rows[0].whole, "its ends are as they were"
    os.truncate(pack, pack.stat().st_size - 1)
    assert [line for line in verify(tmp_path / "s") if "is cut short or damaged; needed by" in line and newest.commit in line]
    assert not describe_newest(tmp_path / "s", None).rows[0].whole


def test_whether_a_commit_is_readable_is_answered_as_the_newest_one_is_found_where_records_are_damaged(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2, 5000)
    view = Store.view(tmp_path / "s")
    assert len(view.commits()) == 2 and view.readable()
    for path in sorted((tmp_path / "s" / "commits").iterdir(), reverse=True):
        path.chmod(0o600)
        flip(path, at=path.stat().st_size // 2)
        assert view.readable() == (view.newest()[0] is not None)
    assert not view.readable()


def test_a_flipped_bit_in_a_lease_is_said_and_the_commits_are_used(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2, 5000)
    flip(next((tmp_path / "s" / "leases").glob("*.json")))
    loaded, passed = Store.view(tmp_path / "s").newest()
    assert loaded is not None and loaded.parts["graph"] == b"commit 1"
    assert any("lease" in step.reason for step in passed)
    assert any("lease" in line for line in verify(tmp_path / "s"))
    store = Store.open(tmp_path / "s", ME)
    assert store.generation == 2
    store.close()


@pytest.mark.parametrize("place", range(13))
def test_a_returned_lease_that_is_no_text_any_more_costs_nothing(tmp_path: Path, place: int) -> None:
    filled(tmp_path / "s", 2, 5000)
    path = next((tmp_path / "s" / "leases").glob("*.released"))
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 0x80
    path.write_bytes(data)
    loaded, _ = Store.view(tmp_path / "s").newest()
    assert loaded is not None and loaded.parts["graph"] == b"commit 1"
    Store.open(tmp_path / "s", ME).close()


def test_a_flipped_bit_in_the_format_is_one_clear_line(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 50)
    path = tmp_path / "s" / "FORMAT"
    data = path.read_bytes()
    for place in range(len(data) - 1):
        path.write_bytes(bytes(byte ^ 0x80 if n == place else byte for n, byte in enumerate(data)))
        with pytest.raises(ForeignStore, match="is not a colab_guard store"):
            Store.view(tmp_path / "s")


def test_a_missing_lease_does_not_revive_a_displaced_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Store.open(tmp_path / "s", ME)
    old.commit(draft("old"))
    new = Store.open(tmp_path / "s", ME, take_over=True)
    new.commit(draft("new"))
    monkeypatch.setattr(old, "holds", lambda: True)
    monkeypatch.setattr(old, "_collect", lambda *a, **k: None)
    for number in range(3):
        old.commit(draft(f"zombie {number}"))
    max((tmp_path / "s" / "leases").glob("*.json")).unlink()
    view = Store.view(tmp_path / "s")
    assert [view.load(record).parts["graph"] for record in view.commits()] == [b"new", b"old"]
    assert any("lease of generation 2" in step.reason for step in view.newest()[1])


def test_a_missing_newest_record_is_said(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2, 5000)
    max((tmp_path / "s" / "commits").iterdir()).unlink()
    loaded, passed = Store.view(tmp_path / "s").newest()
    assert loaded is not None and loaded.parts["graph"] == b"commit 0"
    assert [step.reason for step in passed] == ["the commit was written and its record is gone"]
    store = Store.open(tmp_path / "s", ME)
    assert [step.reason for step in store.newest()[1]] == ["the commit was written and its record is gone"], "to the cell too"
    assert store.newest()[1] == []
    store.close()


def test_a_damaged_record_of_an_earlier_unit_is_said(tmp_path: Path) -> None:
    filled(tmp_path / "s", 3, 5000)
    flip(min((tmp_path / "s" / "commits").iterdir()))
    store = Store.open(tmp_path / "s", ME)
    loaded, passed = store.newest()
    assert loaded is not None and loaded.parts["graph"] == b"commit 2"
    assert ["damaged" in step.reason for step in passed] == [True]
    store.close()


def test_a_full_disk_ends_in_one_clear_error_with_the_commit_before_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "s", 2, 5000)
    store = Store.open(tmp_path / "s", ME)
    store.newest()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "_write_all", full)
        with pytest.raises(StoreFull, match="free some space"):
            store.commit(draft("x", os.urandom(9000)))
    loaded, _ = Store.view(tmp_path / "s").newest()
    assert loaded is not None and loaded.parts["graph"] == b"commit 1"
    store.close()


def test_a_new_stores_folder_survives_a_power_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    real = disk.sync_folder
    monkeypatch.setattr(disk, "sync_folder", lambda path: (synced.append(path), real(path)))
    Store.open(tmp_path / "deep" / "s", ME).close()
    assert {tmp_path, tmp_path / "deep"} <= set(synced)


def test_what_is_being_sent_is_not_collected(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s", ME)
    store.commit(draft("a", os.urandom(5000)))
    with store.sending() as (whole, _):
        for number in range(4):
            store.commit(draft(f"later {number}", os.urandom(5000)))
        assert store.load(whole[0]).parts["graph"] == b"a"
    store.commit(draft("last", os.urandom(5000)))
    assert whole[0].id not in {record.id for record in store.commits()}
    store.close()


def test_what_a_killed_writer_left_half_written_is_no_damage(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2, 5000)
    (tmp_path / "s" / "packs" / f"{disk.TEMPORARY}1-{'0' * 64}.pack").write_bytes(b"cut sho")
    assert verify(tmp_path / "s") == []
