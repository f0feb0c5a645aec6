"""A mirror beside a local disk that is full, a place that has become slow, and one that syncs slowly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from colab_guard.events import SnapshotSent
from colab_guard.store import FolderPlace, Store, verify
from colab_guard.store.mirror import calls, folder, sending
from colab_guard.store.mirror.place import Moved, Receipt, go_on
from tests.store.test_mirror import Setup
from tests.store.test_store import draft


def test_a_commit_collected_here_before_it_was_sent_is_not_called_sent_and_costs_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LEAST_RETRY_S", 0.01)
    here = Setup(tmp_path)
    for text in ("first", "second"):
        here.store.commit(draft(text, os.urandom(5000)))
    assert here.mirror.flush(10)
    real = sending.Mirror._prepare
    gone: list[str] = []

    def prepare(self: sending.Mirror) -> list[str]:
        damaged = real(self)
        if not gone:  # as the collection under pressure does
            record = max((here.local / "commits").glob("*.json"))
            gone.append(record.stem)
            record.rename(tmp_path / record.name)
        return damaged

    monkeypatch.setattr(sending.Mirror, "_prepare", prepare)
    here.store.commit(draft("third", os.urandom(5000)))
    assert not here.mirror.flush(10)
    assert verify(here.far) == [] and len(list((here.far / "commits").iterdir())) == 2
    newest = here.store.commit(draft("fourth", os.urandom(5000)))
    for record in tmp_path.glob("*.json"):
        record.rename(here.local / "commits" / record.name)
    assert here.mirror.flush(10) and here.mirror.status.last_sent_commit == newest.id
    sent = [event.commit for event in here.events if isinstance(event, SnapshotSent)]
    assert gone[0] not in sent
    loaded, _ = Store.view(here.far).newest()
    assert loaded is not None and loaded.parts["graph"] == b"fourth"
    here.close()


def test_a_speed_that_holds_no_more_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Setup(tmp_path)
    real = FolderPlace.send

    def slow(self: FolderPlace, source: Path, name: str, moved: Moved = go_on) -> Receipt | None:
        raise calls.Abandoned("the call was left behind")

    here.store.commit(draft("a", os.urandom(2**20)))
    assert here.mirror.flush(10) and here.mirror.status.bytes_per_s
    monkeypatch.setattr(FolderPlace, "send", slow)
    here.store.commit(draft("b", os.urandom(2**20)))
    assert not here.mirror.flush(10) and here.mirror.status.bytes_per_s is None
    monkeypatch.setattr(FolderPlace, "send", real)
    assert here.mirror.flush(10) and here.mirror.status.bytes_per_s
    here.close()


def test_a_large_file_is_synced_in_pieces_and_tells_that_it_gets_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "SYNC_BYTES", 2**22)
    told: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (told.append("sync"), real(descriptor))[1])
    (tmp_path / "source").write_bytes(bytes(2**24))
    FolderPlace(tmp_path).send(tmp_path / "source", "copy", lambda: told.append("moved"))
    assert told.count("sync") == 5 and "sync sync" not in " ".join(told)


def test_a_file_that_lies_under_a_temporary_name_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder.secrets, "token_hex", lambda size: "0")
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / f".tmp-{os.getpid()}-0-copy").symlink_to(tmp_path / "mine")
    with pytest.raises(FileExistsError):
        FolderPlace(tmp_path).write("copy", b"theirs")
    assert (tmp_path / "mine").read_bytes() == b"mine"
