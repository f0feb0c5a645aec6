"""Files go into a store a chunk at a time, and one that has not changed is not looked through again."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from colab_guard.errors import SnapshotRefused
from colab_guard.store import CommitRecord, Store, pieces, verify, writing
from tests.store.test_stamps import hashed  # noqa: F401
from tests.store.test_store import ME, draft

LARGE = 3 * 2**20 + 17


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(LARGE))
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed just now counts as if it had been some time ago."""
    monkeypatch.setattr(pieces, "CLOCK_TICK_NS", -(10**9))


def stored(store: Store, record: CommitRecord) -> bytes:
    assert verify(store.path) == []
    return Store.view(store.path).read_file(record, "model.bin")


@pytest.mark.usefixtures("settled")
def test_an_unchanged_file_is_not_hashed_again(tmp_path: Path, file: Path, hashed: list[int]) -> None:  # noqa: F811
    store = Store.open(tmp_path / "s", ME)
    for number in range(3):
        hashed.clear()
        record = store.commit(draft(f"step {number}", files={"model.bin": file}))
        assert (sum(hashed) > LARGE) is (number == 0)
        assert stored(store, record) == file.read_bytes()
    store.close()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("how", ["written in its place", "another one under its name"])
def test_a_file_that_changed_is_another_content(tmp_path: Path, file: Path, how: str) -> None:
    store = Store.open(tmp_path / "s", ME)
    store.commit(draft("a", files={"model.bin": file}))
    before = file.stat()
    if how == "written in its place":
        file.write_bytes(bytes(LARGE))
    else:
        (tmp_path / "new").write_bytes(bytes(LARGE))
        (tmp_path / "new").rename(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert stored(store, store.commit(draft("b", files={"model.bin": file}))) == bytes(LARGE)
    store.close()


def test_a_file_that_was_changed_just_now_is_looked_through_again(tmp_path: Path, file: Path, hashed: list[int]) -> None:  # noqa: F811
    store = Store.open(tmp_path / "s", ME)
    for number in range(2):
        file.touch()
        hashed.clear()
        store.commit(draft(f"step {number}", files={"model.bin": file}))
        assert sum(hashed) > LARGE
    store.close()


@pytest.mark.usefixtures("settled")
def test_an_unchanged_file_whose_packs_were_collected_is_written_again(tmp_path: Path, file: Path) -> None:
    store = Store.open(tmp_path / "s", ME)
    store.commit(draft("a", files={"model.bin": file}))
    store._known = type(store._known)()
    assert stored(store, store.commit(draft("b", files={"model.bin": file}))) == file.read_bytes()
    store.close()


def test_a_large_file_is_never_in_memory_whole(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    with file.open("wb") as writing_it:
        for _ in range(48):
            writing_it.write(os.urandom(2**20))
    store = Store.open(tmp_path / "s", ME)
    tracemalloc.start()
    try:
        record = store.commit(draft("a", files={"model.bin": file}))
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert stored(store, record) == file.read_bytes()
    store.close()


@pytest.mark.parametrize("changed", [bytes(LARGE), b"shorter"])
def test_a_file_that_changes_while_it_is_stored_is_in_no_commit(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, changed: bytes
) -> None:
    store = Store.open(tmp_path / "s", ME)
    store.commit(draft("a"))
    real = writing.write_pack
    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_pack", lambda *arguments: (file.write_bytes(changed), real(*arguments))[1])
        with pytest.raises(SnapshotRefused, match=r"model.bin was changed while it was stored"):
            store.commit(draft("b", files={"model.bin": file}))
    assert [record.position["text"] for record in Store.view(tmp_path / "s").commits()] == ["a"]
    assert stored(store, store.commit(draft("c", files={"model.bin": file}))) == changed
    store.close()


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1])
def test_a_file_of_any_size_comes_back(tmp_path: Path, file: Path, size: int) -> None:
    content = os.urandom(size)
    file.write_bytes(content)
    store = Store.open(tmp_path / "s", ME)
    assert stored(store, store.commit(draft("a", files={"model.bin": file}))) == content
    store.close()
