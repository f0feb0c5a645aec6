"""Places that go away, hang, are full, or show no signs of life."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from colab_guard.errors import MirrorUnusable, StoreInUse
from colab_guard.events import MirrorChanged, SnapshotDurable
from colab_guard.store import FolderPlace, Mirror, Store, verify
from colab_guard.store.mirror import calls, folder, holders, sending
from colab_guard.store.mirror.place import PARTS, Moved, Traits, go_on
from colab_guard.workers import Abandoned, Workers
from tests.store.test_mirror import Setup
from tests.store.test_store import ME, draft


def packs(store: Path) -> set[str]:
    return {path.name for path in (store / "packs").iterdir()}


def test_nothing_is_durable_in_a_folder_that_stands_where_a_server_s_was_mounted(tmp_path: Path) -> None:
    far = tmp_path / "far"
    here = Setup(tmp_path, "nfs4: synced")
    first = here.store.commit(draft("first", os.urandom(3000)))
    assert here.mirror.flush(10) and here.mirror.status.durable_commit == first.id
    far.rename(tmp_path / "unmounted")
    second = here.store.commit(draft("second", os.urandom(3000)))
    assert not here.mirror.flush(10) and not far.exists()
    assert "not mounted" in here.mirror.status.reason
    far.mkdir()  # somebody's, on this machine's own disk
    assert not here.mirror.flush(10) and not list(far.iterdir())
    far.rmdir()
    (tmp_path / "unmounted").rename(far)
    assert here.mirror.flush(10) and here.mirror.status.durable_commit == second.id
    assert [event.commit for event in here.events if isinstance(event, SnapshotDurable)] == [first.id, second.id]
    here.close()


def test_a_folder_that_proves_nothing_may_be_mounted_anew_but_is_not_made_anew(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "drive")
    place.make_folders(PARTS)
    (tmp_path / "drive").rename(tmp_path / "gone")
    with pytest.raises(MirrorUnusable, match="is there no more"):
        place.make_folders(PARTS)
    (tmp_path / "drive").mkdir()
    place.make_folders(PARTS)
    place.write("packs/a", b"a")
    assert place.size("packs/a") == 1


def test_what_killed_uploads_left_goes_after_a_while_and_what_is_being_written_stays(tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / "far" / part).mkdir(parents=True)
    old, fresh = tmp_path / "far" / "packs" / ".tmp-1-a.pack", tmp_path / "far" / "packs" / ".tmp-2-b.pack"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - folder.LEFTOVER_S - 60,) * 2)
    FolderPlace(tmp_path / "far").make_folders(PARTS)
    assert not old.exists() and fresh.exists()


def test_a_lease_at_a_place_that_shows_no_life_is_not_taken_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Setup(tmp_path)
    here.store.commit(draft("a", b"aaaa"))
    assert here.mirror.flush(10)
    monkeypatch.setattr(holders.Watch, "_foreign", lambda watch: watch._leases.newest)
    place = FolderPlace(here.far, traits=Traits(beats=False))
    watch = holders.Watch(place, ME.name, 0.0)
    with pytest.raises(StoreInUse, match="no signs of life; if that one is gone, --take-over"):
        watch.left(10 * holders.DEAD_S)
    here.close()


def test_while_calls_hang_there_are_few_threads_and_when_they_come_back_it_goes_on() -> None:
    place, healed, begun = calls.Calls(Workers()), threading.Event(), list[int]()

    def hangs(call: calls.Call) -> None:
        begun.append(1)
        healed.wait(30)

    refused = 0
    for _ in range(50):
        with pytest.raises(Abandoned) as caught:
            place.limited("look", hangs, 0.02)
        refused += "is not tried now" in str(caught.value)
    assert calls.MOST_LEFT <= len(begun) < 15 and refused > 30
    healed.set()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            assert place.limited("look", lambda call: "there", 1.0) == "there"
            break
        except Abandoned:
            time.sleep(0.01)
    else:
        pytest.fail("it did not go on")


def test_after_an_outage_the_newest_commit_is_there_before_the_one_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Setup(tmp_path)
    order: list[str] = []
    real = FolderPlace.send
    monkeypatch.setattr(FolderPlace, "send", lambda self, source, name, *more: (order.append(name), real(self, source, name, *more))[1])
    before = here.store.commit(draft("before", os.urandom(3000)))
    newest = here.store.commit(draft("newest", os.urandom(3000)))
    assert here.mirror.flush(10)
    records = [name for name in order if name.startswith("commits/")]
    assert records == [f"commits/{newest.id}.json", f"commits/{before.id}.json"]
    here.close()


def test_a_place_that_is_full_lets_go_of_what_is_older_than_the_newest_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Setup(tmp_path)
    size, room = 100_000, 250_000
    real = FolderPlace.send

    def send(self: FolderPlace, source: Path, name: str, *more: object) -> object:
        used = sum(path.stat().st_size for path in here.far.rglob("*") if path.is_file())
        if used + source.stat().st_size > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, source, name, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(FolderPlace, "send", send)
    for number in range(4):
        newest = here.store.commit(draft(f"commit {number}", os.urandom(size)))
        here.mirror.flush(10)
        assert here.mirror.status.last_sent_commit == newest.id, here.mirror.status.reason
        loaded, passed = Store.view(here.far).newest()
        assert loaded is not None and loaded.record.id == newest.id and not passed
    assert verify(here.far) == []
    here.close()


def test_the_end_of_the_work_waits_as_long_as_what_was_saved_last_gets_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Setup(tmp_path)
    real = FolderPlace.send

    def send(self: FolderPlace, source: Path, name: str, moved: Moved = go_on) -> object:
        for _ in range(8 if name.endswith(".pack") else 0):
            time.sleep(0.05)
            moved()
        return real(self, source, name, moved)

    monkeypatch.setattr(FolderPlace, "send", send)
    newest = here.store.commit(draft("last", os.urandom(3000)))
    here.mirror.close(0.15)
    assert here.mirror.status.last_sent_commit == newest.id
    here.close()


def test_whoever_does_not_wait_for_the_mirror_ends_it_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Setup(tmp_path)

    def pressed(self: Mirror, silence_s: float) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Mirror, "_flush_while_it_gets_on", pressed)
    here.mirror.close(5)
    assert here.mirror.status.state == "off"
    assert any("not waited for" in event.reason for event in here.events if isinstance(event, MirrorChanged))
    here.close()


def test_while_a_place_fails_the_told_lag_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LEAST_RETRY_S", 0.02)
    here = Setup(tmp_path)
    healthy = FolderPlace.names
    monkeypatch.setattr(FolderPlace, "names", lambda place, part: os.listdir(tmp_path / "nowhere"))
    here.store.commit(draft("a", b"aaaa"))
    here.mirror.nudge()
    lags: list[float] = []
    until = time.monotonic() + 10
    while len(lags) < 3 and time.monotonic() < until:
        time.sleep(0.01)
        lags = [event.lag_s or 0.0 for event in list(here.events) if isinstance(event, MirrorChanged) and event.state == "degraded"]
    assert len(lags) >= 3 and lags == sorted(lags) and lags[-1] > lags[0]
    monkeypatch.setattr(FolderPlace, "names", healthy)
    here.close()
