"""A mirror has one notebook and one machine; what it says of itself is true."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from colab_guard.errors import ForeignStore
from colab_guard.store import FolderPlace, Identity, Mirror, Store, fetch_from_mirror, mirror_generation
from colab_guard.store.mirror import calls
from colab_guard.store.mirror.copying import Copies
from colab_guard.workers import Abandoned, Workers
from tests.store.test_store import ME, draft

OTHER = Identity("sweep", "/nb/other.ipynb")


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.stop()


def mirrored(store: Store, far: Path, workers: Workers, **more: bool) -> Mirror:
    return Mirror(store, far, workers=workers, every_s=0.01, **more)


def a_mirror(tmp_path: Path, workers: Workers, *texts: str) -> Path:
    """A mirror of a store at tmp_path/a that was closed."""
    store = Store.open(tmp_path / "a", ME)
    mirror = mirrored(store, tmp_path / "far", workers)
    for text in texts or ("a",):
        store.commit(draft(text, os.urandom(3000)))
    assert mirror.flush(10)
    mirror.close(5)
    store.close()
    return tmp_path / "far"


def test_flush_says_true_only_when_the_newest_commit_is_there(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path / "a", ME)
    entered, go = threading.Event(), threading.Event()
    real = Mirror._check

    def slow(self: Mirror) -> None:
        entered.set()
        go.wait(10)
        real(self)

    monkeypatch.setattr(Mirror, "_check", slow)
    mirror = mirrored(store, tmp_path / "far", workers)
    store.commit(draft("a"))
    mirror.nudge()
    assert entered.wait(5)
    newest = store.commit(draft("b", os.urandom(9000)))
    threading.Timer(0.2, go.set).start()
    assert mirror.flush(10)
    assert (tmp_path / "far" / "commits" / f"{newest.id}.json").exists()


def test_a_call_that_was_left_behind_removes_nothing_when_it_wakes(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path / "a", ME)
    hung, go, ended = threading.Event(), threading.Event(), threading.Event()
    real = Copies.tidy

    def tidy(self: Copies, kept: set[str], call: calls.Call) -> None:
        if hung.is_set():
            return real(self, kept, call)
        hung.set()
        go.wait(20)
        try:
            real(self, kept, call)
        finally:
            ended.set()

    monkeypatch.setattr(Copies, "tidy", tidy)
    monkeypatch.setattr(calls, "CALL_LIMIT_S", 0.3)
    mirror = mirrored(store, tmp_path / "far", workers)
    store.commit(draft("a", os.urandom(5000)))
    assert not mirror.flush(5) and hung.is_set()
    monkeypatch.setattr(calls, "CALL_LIMIT_S", 30)
    for number in range(3):
        store.commit(draft(f"b{number}", os.urandom(5000)))
        assert mirror.flush(10) or mirror.flush(10)
    go.set()
    assert ended.wait(5)
    loaded, passed = Store.view(tmp_path / "far").newest()
    assert loaded is not None and loaded.parts["graph"] == b"b2" and passed == []


def test_another_notebooks_mirror_is_neither_written_nor_fetched(tmp_path: Path, workers: Workers) -> None:
    far = a_mirror(tmp_path, workers)
    before = sorted(str(path) for path in far.rglob("*"))
    with pytest.raises(ForeignStore, match=r"/nb/sweep.ipynb.*/nb/other.ipynb"):
        fetch_from_mirror(far, tmp_path / "b", OTHER)
    assert not (tmp_path / "b").exists()
    store = Store.open(tmp_path / "b", OTHER)
    store.commit(draft("b"))
    mirror = mirrored(store, far, workers)
    assert not mirror.flush(5)
    assert "/nb/sweep.ipynb" in mirror.status.reason and "/nb/other.ipynb" in mirror.status.reason
    assert sorted(str(path) for path in far.rglob("*")) == before


def test_of_two_machines_that_fetched_the_same_mirror_the_second_notices(tmp_path: Path, workers: Workers) -> None:
    far = a_mirror(tmp_path, workers)
    assert all(fetch_from_mirror(far, tmp_path / name, ME) for name in "xy")
    sent, reasons = [], []
    stores = {name: Store.open(tmp_path / name, ME) for name in "xy"}
    for name in "xyx":
        stores[name].commit(draft(name, os.urandom(3000)))
        mirror = mirrored(stores[name], far, workers)
        sent.append(mirror.flush(5))
        reasons.append(mirror.status.reason)
        mirror.close(5)
    assert sent == [True, False, True]
    assert "another machine writes to this mirror" in reasons[1]


@pytest.mark.parametrize("part", ["FORMAT", "leases"])
def test_what_is_torn_on_the_mirror_is_mended(tmp_path: Path, workers: Workers, part: str) -> None:
    store = Store.open(tmp_path / "a", ME)
    mirror = mirrored(store, tmp_path / "far", workers)
    store.commit(draft("a"))
    assert mirror.flush(10)
    far = tmp_path / "far"
    path = far / "FORMAT" if part == "FORMAT" else next((far / "leases").glob("*.json"))
    path.write_bytes(path.read_bytes()[:7])
    store.commit(draft("b"))
    assert mirror.flush(10), mirror.status
    loaded, passed = Store.view(far).newest()
    assert loaded is not None and loaded.parts["graph"] == b"b" and passed == []


def test_a_wrong_file_of_the_right_size_is_sent_again(tmp_path: Path, workers: Workers) -> None:
    saved = tmp_path / "adapter"
    saved.write_bytes(os.urandom(5000))
    store = Store.open(tmp_path / "a", ME)
    unit = {"group": "g", "key": "k", "record": {}}
    record = store.commit(draft("u", b"", "unit", unit=unit, unit_files={"adapter": saved}))
    for number in range(3):
        store.commit(draft(f"step {number}", os.urandom(3000)))
    pack = record.raw["unit_files"]["adapter"]["packs"][0]
    far = tmp_path / "far"
    (far / "packs").mkdir(parents=True)
    (far / "packs" / f"{pack}.pack").write_bytes(bytes((store.path / "packs" / f"{pack}.pack").stat().st_size))
    assert mirrored(store, far, workers).flush(10)
    assert Store.view(far).read_unit_file(record, "adapter") == saved.read_bytes()


def test_a_fresh_store_replaces_an_older_mirror_of_a_higher_generation(tmp_path: Path, workers: Workers) -> None:
    for _ in range(3):
        far = a_mirror(tmp_path, workers)
    above = mirror_generation(FolderPlace(far), ME)
    assert above == 3
    store = Store.open(tmp_path / "new", ME, above=above)
    store.clear()
    store.commit(draft("anew"))
    assert mirrored(store, far, workers).flush(10)
    loaded, _ = Store.view(far).newest()
    assert loaded is not None and loaded.parts["graph"] == b"anew"
    assert len(Store.view(far).commits()) == 1


def test_a_damaged_local_store_is_mended_from_a_mirror_as_new(tmp_path: Path, workers: Workers) -> None:
    far = a_mirror(tmp_path, workers, "a", "b")
    for path in (tmp_path / "a" / "packs").iterdir():
        path.unlink()
    assert fetch_from_mirror(far, tmp_path / "a", ME)
    loaded, passed = Store.view(tmp_path / "a").newest()
    assert loaded is not None and loaded.parts["graph"] == b"b" and passed == []


def test_a_fetch_that_was_left_behind_writes_nothing_when_it_wakes(tmp_path: Path, workers: Workers) -> None:
    far = a_mirror(tmp_path, workers)
    call = calls.Call()
    call.gone.set()
    with pytest.raises(Abandoned):
        fetch_from_mirror(far, tmp_path / "b", ME, call=call)
    assert not (tmp_path / "b" / "FORMAT").exists()


def test_a_mistyped_key_removes_nothing_from_the_mirror(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = a_mirror(tmp_path, workers, "a", "b")
    before = {path.name for path in far.rglob("*.*") if path.suffix in (".pack", ".json")}
    monkeypatch.setenv("COLAB_GUARD_KEY", "typo")
    store = Store.open(tmp_path / "a", ME)
    store.commit(draft("c", os.urandom(3000)))
    assert mirrored(store, far, workers).flush(10)
    assert before <= {path.name for path in far.rglob("*.*")}


def test_a_machine_lost_before_its_first_commit_was_sent_locks_nobody_out(tmp_path: Path) -> None:
    far, local = tmp_path / "far", tmp_path / "local"
    for generation in (1, 2):
        store = Store.open(tmp_path / f"machine {generation}", ME, above=generation - 1)
        for part in ("packs", "commits", "leases"):
            (far / part).mkdir(parents=True, exist_ok=True)
        shutil.copy(store.path / "FORMAT", far)
        shutil.copy(max((store.path / "leases").glob("*.json")), far / "leases")
        store.close()
    fetch_from_mirror(far, local, ME)
    store = Store.open(local, ME)
    workers = Workers()
    mirror = Mirror(store, far, workers=workers, every_s=0.01)
    store.commit(draft("goes on"))
    assert mirror.flush(20), mirror.status.reason
    mirror.close(5)
    store.close()
    workers.stop()


def test_a_mirror_whose_commits_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path, workers: Workers) -> None:
    far = a_mirror(tmp_path, workers, "kept")
    record = next((far / "commits").glob("*.json"))
    record.write_bytes(record.read_bytes()[:-1])
    with pytest.raises(ForeignStore, match="1 commits are there and none can be read"):
        fetch_from_mirror(far, tmp_path / "b", ME)
    store = Store.open(tmp_path / "b", ME)
    mirror = mirrored(store, far, workers)
    store.commit(draft("other"))
    assert not mirror.flush(2)
    assert record.exists(), "what cannot be read is removed"
    mirror.close(1)
    store.close()
