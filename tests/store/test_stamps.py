"""Memory that says that it did not change is neither hashed nor written again, and is whole in every commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from colab_guard.store import BufferDraft, CommitDraft, Identity, Store, writing

LARGE = 3 * 2**20 + 17


@dataclass
class Memory:
    data: bytes
    stamp: object | None


def commit(store: Store, number: int, memory: Memory) -> int:
    draft = CommitDraft("step", {"text": str(number), "depth": 1}, {"graph": b"g"}, [BufferDraft("b", memory.data, source=memory)])
    return store.commit(draft).bytes_new


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    plain = writing.digest

    def digest(data: memoryview) -> str:
        found.append(len(data))
        return plain(data)

    monkeypatch.setattr(writing, "digest", digest)
    return found


def test_unchanged_memory_is_not_hashed_again(tmp_path: Path, hashed: list[int]) -> None:
    store = Store.open(tmp_path / "a", Identity("a", ""))
    memory = Memory(bytes(range(256)) * (LARGE // 256), object())
    commit(store, 1, memory)
    hashed.clear()
    commit(store, 2, memory)
    assert sum(hashed) < 100
    loaded, _ = store.newest()
    assert loaded is not None and loaded.buffers["b"] == memory.data
    store.close()


def test_another_stamp_or_none_is_another_content(tmp_path: Path, hashed: list[int]) -> None:
    store = Store.open(tmp_path / "a", Identity("a", ""))
    memory = Memory(b"1" * LARGE, object())
    for number, stamp in enumerate([object(), None, object()]):
        commit(store, number, memory)
        hashed.clear()
        memory.data, memory.stamp = str(number).encode() * LARGE, stamp
        commit(store, 10 + number, memory)
        assert sum(hashed) >= LARGE
        loaded, _ = store.newest()
        assert loaded is not None and loaded.buffers["b"] == memory.data
    store.close()


def test_unchanged_memory_whose_packs_were_collected_is_written_again(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "a", Identity("a", ""))
    memory = Memory(b"1" * LARGE, object())
    commit(store, 1, memory)
    store._known = type(store._known)()
    commit(store, 2, memory)
    loaded, _ = store.newest()
    assert loaded is not None and loaded.buffers["b"] == memory.data
    store.close()
