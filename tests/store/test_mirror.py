"""The mirror follows the local store, survives its loss, and never harms training."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from colab_guard.events import Event, EventBus, MirrorChanged, SnapshotDurable, SnapshotSent
from colab_guard.store import FolderPlace, Identity, Mirror, Store, describe, export, fetch_from_mirror, verify
from colab_guard.store.mirror import calls, sending
from colab_guard.store.mirror.place import Moved, Receipt, go_on
from colab_guard.workers import Workers
from tests.store.test_store import draft

ME = Identity("sweep", "/nb/sweep.ipynb")


class Setup:
    def __init__(self, tmp_path: Path, proof: str | None = None) -> None:
        self.events: list[Event] = []
        self.bus = EventBus(synchronous=True)
        self.bus.subscribe(lambda event, at: self.events.append(event))
        self.workers = Workers()
        self.local, self.far = tmp_path / "local", tmp_path / "far"
        self.store = Store.open(self.local, ME)
        self.mirror = Mirror(
            self.store, FolderPlace(self.far, proof), workers=self.workers, bus=self.bus, every_s=0.01
        )

    def close(self) -> None:
        self.mirror.close(5)
        self.store.close()
        self.workers.stop()

    def kinds(self) -> set[type[Event]]:
        return {type(event) for event in self.events}


def test_a_machine_that_lost_its_store_goes_on_from_the_mirror(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    data = os.urandom(3 * 2**20)
    saved = tmp_path / "adapter.bin"
    saved.write_bytes(b"adapter")
    unit = {"group": "sweep", "key": "k", "record": {"accuracy": 0.5}}
    here.store.commit(draft("unit", data, "unit", unit=unit, unit_files={"adapter.bin": saved}))
    here.store.commit(draft("step", data))
    assert here.mirror.flush(20)
    here.close()
    shutil.rmtree(here.local)
    assert fetch_from_mirror(here.far, here.local, ME)
    store = Store.open(here.local, ME)
    loaded, passed = store.newest()
    assert loaded is not None and loaded.parts["graph"] == b"step" and passed == []
    assert bytes(loaded.buffers["b0"]) == data
    assert store.read_unit_file(store.units()[0], "adapter.bin") == b"adapter"
    store.close()


def test_an_unproved_place_is_sent_and_never_called_durable(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    here.store.commit(draft("a"))
    assert here.mirror.flush(20)
    here.close()
    assert SnapshotSent in here.kinds()
    assert SnapshotDurable not in here.kinds()


def test_a_proved_place_gives_a_receipt(tmp_path: Path) -> None:
    here = Setup(tmp_path, proof="nfs: fsync is acknowledged by the server")
    here.store.commit(draft("a"))
    assert here.mirror.flush(20)
    here.close()
    durable = [event for event in here.events if isinstance(event, SnapshotDurable)]
    assert durable and "nfs" in durable[0].receipt


def test_a_torn_mirror_gives_the_commit_before(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    here.store.commit(draft("first", os.urandom(10_000)))
    here.store.commit(draft("second", os.urandom(10_000)))
    assert here.mirror.flush(20)
    here.close()
    record = max((here.far / "commits").glob("*.json"))
    record.write_bytes(record.read_bytes()[:-1])
    shutil.rmtree(here.local)
    fetch_from_mirror(here.far, here.local, ME)
    loaded, _ = Store.view(here.local).newest()
    assert loaded is not None and loaded.parts["graph"] == b"first"


def test_an_older_mirror_does_not_touch_a_newer_local_store(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    here.store.commit(draft("a"))
    assert here.mirror.flush(20)
    here.close()
    assert not fetch_from_mirror(here.far, here.local, ME)


def test_a_folder_that_is_a_mirror_is_private(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        here = Setup(tmp_path)
        here.store.commit(draft("a", os.urandom(2000)))
        assert here.mirror.flush(20)
        here.close()
    finally:
        os.umask(before)
    found = list(here.far.rglob("*"))
    assert len([path for path in found if path.is_file()]) >= 4
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def test_what_was_not_there_when_the_work_ended_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    here = Setup(tmp_path)
    here.store.commit(draft("a"))
    assert here.mirror.flush(20)
    monkeypatch.setattr(FolderPlace, "send", lambda *words, **more: hanging.wait(5))
    here.store.commit(draft("b"))
    here.mirror.close(0.3)
    changes = [event for event in here.events if isinstance(event, MirrorChanged)]
    assert [change.state for change in changes[-2:]] == ["degraded", "off"]
    assert all("saved last is not there" in change.reason for change in changes[-2:])
    assert changes[-1].lag_s is not None and changes[-1].lag_s > 0.2
    hanging.set()
    here.store.close()
    here.workers.stop()


def test_a_place_that_hangs_is_left_behind_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(calls, "CALL_LIMIT_S", 0.1)
    monkeypatch.setattr(sending, "RETRY_S", 0.05)
    real = FolderPlace.send

    def hang(self: FolderPlace, source: Path, name: str, moved: Moved = go_on) -> Receipt | None:
        hanging.wait(5)
        return real(self, source, name, moved)

    monkeypatch.setattr(FolderPlace, "send", hang)
    here = Setup(tmp_path)
    here.store.commit(draft("a"))
    assert not here.mirror.flush(2)
    assert here.mirror.status.state == "degraded"
    assert "did not answer" in here.mirror.status.reason
    assert any(isinstance(e, MirrorChanged) and e.state == "degraded" for e in here.events)
    monkeypatch.setattr(FolderPlace, "send", real)
    monkeypatch.setattr(calls, "CALL_LIMIT_S", 30)
    hanging.set()
    for _ in range(100):
        if here.mirror.flush(1):
            break
    assert here.mirror.status.state == "ok", "it did not catch up"
    here.close()


def test_what_the_local_store_let_go_is_removed_there(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    for number in range(5):
        here.store.commit(draft(f"step {number}", os.urandom(2**20)))
        assert here.mirror.flush(20)
    here.close()
    assert len(list((here.far / "packs").iterdir())) == 2
    assert len(list((here.far / "commits").iterdir())) == 2


def test_a_mirror_that_another_machine_took_over_is_not_written(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    here.store.commit(draft("a"))
    assert here.mirror.flush(20)
    other = tmp_path / "other"
    fetch_from_mirror(here.far, other, ME)
    there = Store.open(other, ME, take_over=True)
    second = Mirror(there, here.far, workers=here.workers, every_s=0.01)
    there.commit(draft("theirs"))
    assert second.flush(20)
    here.store.commit(draft("mine"))
    assert not here.mirror.flush(1)
    assert "taken over" in here.mirror.status.reason
    loaded, _ = Store.view(here.far).newest()
    assert loaded is not None and loaded.parts["graph"] == b"theirs"
    second.close(5)
    there.close()
    here.close()


def test_a_mirror_folder_verifies_shows_and_exports_like_a_store(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    record = here.store.commit(draft("step", os.urandom(9000)))
    assert here.mirror.flush(20)
    assert verify(here.far) == []
    here.close()
    assert verify(here.far) == []
    assert [row.commit for row in describe(here.far).rows] == [record.id]
    assert export(here.far, tmp_path / "out").commit == record.id
    path = here.far / "commits" / f"{record.id}.json"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    assert any(record.id in line for line in verify(here.far))


DAMAGES = {
    "cut": lambda data: data[:1000],
    "flipped": lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("part", ["packs", "commits", "leases"])
def test_a_file_damaged_here_is_brought_back_and_harms_no_copy(part: str, how: str, tmp_path: Path) -> None:
    here = Setup(tmp_path)
    saved = tmp_path / "adapter.bin"
    saved.write_bytes(os.urandom(5000))
    unit = {"group": "sweep", "key": "k", "record": {"accuracy": 0.5}}
    here.store.commit(draft("unit", os.urandom(5000), "unit", unit=unit, unit_files={"adapter.bin": saved}))
    here.store.commit(draft("step", os.urandom(5000)))
    assert here.mirror.flush(20)
    here.close()
    for path in (path for path in (here.local / part).iterdir() if path.suffix in (".pack", ".json")):
        path.write_bytes(DAMAGES[how](path.read_bytes()))
    here = Setup(tmp_path)
    here.store.commit(draft("later", os.urandom(5000)))
    assert here.mirror.flush(20)
    here.close()
    assert [verify(here.far)] == [[]]
    found = Store.view(here.far)
    assert part != "packs" or found.read_unit_file(found.units()[0], "adapter.bin") == saved.read_bytes()


def test_what_is_damaged_before_it_was_sent_is_sent_nowhere_and_said(tmp_path: Path) -> None:
    here = Setup(tmp_path, proof="nfs: fsync is acknowledged by the server")
    saved = tmp_path / "adapter.bin"
    saved.write_bytes(os.urandom(5000))
    unit = {"group": "sweep", "key": "k", "record": {"accuracy": 0.5}}
    record = here.store.commit(draft("unit", b"", "unit", unit=unit, unit_files={"adapter.bin": saved}))
    (pack,) = record.raw["unit_files"]["adapter.bin"]["packs"]
    path = here.local / "packs" / f"{pack}.pack"
    path.write_bytes(path.read_bytes()[:1000])
    here.store.commit(draft("step", os.urandom(5000)))
    newest = here.store.commit(draft("later", os.urandom(5000)))
    assert here.mirror.flush(20)
    assert here.mirror.status.state == "degraded" and "is damaged on this machine's disk" in here.mirror.status.reason
    assert here.mirror.status.last_sent_commit == newest.id and SnapshotDurable not in here.kinds()
    assert not (here.far / "packs" / path.name).exists()
    here.close()
    loaded, _ = Store.view(here.far).newest()
    assert loaded is not None and loaded.parts["graph"] == b"later"


def test_a_mirrors_folder_that_is_a_link_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colab_guard.store.mirror.copying.ORPHAN_S", 0.0)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/thesis.tex").write_text("mine")
    (tmp_path / "far").mkdir()
    (tmp_path / "far/packs").symlink_to(tmp_path / "docs")
    here = Setup(tmp_path)
    here.store.commit(draft("a", os.urandom(5000)))
    assert not here.mirror.flush(20)
    assert "packs is a link" in here.mirror.status.reason
    here.close()
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["thesis.tex"]


def test_what_no_store_has_is_not_tidied_away_and_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colab_guard.store.mirror.copying.ORPHAN_S", 0.0)
    here = Setup(tmp_path)
    here.store.commit(draft("a", os.urandom(5000)))
    assert here.mirror.flush(20)
    (here.far / "packs/notes.txt").write_text("mine")
    os.mkfifo(here.far / "leases/00000001-0123456789abcdef.released")
    for number in range(3):
        here.store.commit(draft(f"b{number}", os.urandom(5000)))
        assert here.mirror.flush(20)
    here.close()
    assert (here.far / "packs/notes.txt").read_text() == "mine"
    shutil.rmtree(here.local)
    assert fetch_from_mirror(here.far, here.local, ME)
