"""What a store takes: state that is needed no more gives its space back, whatever small things lie beside it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from colab_guard.store import BufferDraft, CommitDraft, Identity, Store, verify
from colab_guard.store.writing import LARGE_PACK, MOST_PACKS, packs_to_leave

MIB = 2**20


def commit(store: Store, buffers: list[bytes], **more: object) -> int:
    """Commit these buffers; the bytes of it that are new."""
    drafts = [BufferDraft(f"b{number}", data, "uint8", (len(data),), (1,), "") for number, data in enumerate(buffers)]
    return store.commit(CommitDraft(kind="step", position={"text": "here"}, parts={"graph": b"g"}, buffers=drafts, **more)).bytes_new  # type: ignore[arg-type]


def taken(path: Path) -> int:
    return sum(pack.stat().st_size for pack in (path / "packs").iterdir())


def restored(store: Store) -> list[bytes]:
    loaded, passed = store.newest()
    assert loaded is not None and not passed
    return [bytes(loaded.buffers[f"b{number}"]) for number in range(len(loaded.buffers))]


def opened(path: Path) -> Store:
    return Store.open(path, Identity("work", "", "0" * 64))


def test_small_arrays_that_stay_do_not_keep_the_states_beside_which_they_were_saved(tmp_path: Path) -> None:
    store, results = opened(tmp_path / "s"), list[bytes]()
    for _ in range(12):
        results.append(os.urandom(2000))
        new = commit(store, [os.urandom(20 * MIB), *results])
        assert new < 20 * MIB + 100_000
        assert taken(tmp_path / "s") < 41 * MIB, "the newest two commits, and no more"
    assert restored(store)[1:] == results
    store.close()
    assert not list(verify(tmp_path / "s"))


def test_however_state_changes_little_more_is_kept_and_written_than_it_needs(tmp_path: Path) -> None:
    chance = random.Random(3)
    store = opened(tmp_path / "s")
    state = [os.urandom(MIB) for _ in range(40)]
    written = changed = commit(store, state)
    for _ in range(40):
        for number in chance.sample(range(40), chance.choice([0, 1, 5, 20])):
            state[number] = os.urandom(MIB)
            changed += MIB
        written += commit(store, state)
        assert taken(tmp_path / "s") < (40 * 2.5 + 20) * MIB
    assert written < 2 * changed
    assert restored(store) == state
    store.close()


def test_a_pack_that_somebody_removed_is_written_anew_with_the_next_commit(tmp_path: Path) -> None:
    store = opened(tmp_path / "s")
    state = os.urandom(3 * MIB)
    commit(store, [state])
    for pack in (tmp_path / "s" / "packs").iterdir():
        pack.unlink()
    commit(store, [state, b"more"])
    assert restored(store) == [state, b"more"]
    store.close()


@pytest.mark.parametrize(
    ("needed", "sizes", "left"),
    [
        ({"a": 100 * MIB, "b": 4000}, {"a": 100 * MIB, "b": 100 * MIB}, {"b"}),
        ({"a": 100 * MIB, "b": 4000}, {"a": 100 * MIB, "b": 40 * MIB}, set()),
        ({"a": 60 * MIB, "b": 60 * MIB}, {"a": 100 * MIB, "b": 100 * MIB}, set()),
        ({"a": 1}, {"a": LARGE_PACK}, set()),
        ({"a": 1}, {"a": 50 * MIB}, set()),
        ({str(n): 10 for n in range(MOST_PACKS)}, {str(n): 10 for n in range(MOST_PACKS)}, set()),
        ({str(n): 10 for n in range(MOST_PACKS + 1)}, {str(n): 10 for n in range(MOST_PACKS + 1)}, {str(n) for n in range(MOST_PACKS + 1)}),
    ],
    ids=["hardly needed", "no matter yet", "more than half needed", "a small matter", "little beside what is new", "not too many", "scattered"],
)
def test_which_packs_are_left(needed: dict[str, int], sizes: dict[str, int], left: set[str]) -> None:
    assert packs_to_leave(needed, sizes, new=100 * MIB if len(sizes) == 1 else 0) == left
