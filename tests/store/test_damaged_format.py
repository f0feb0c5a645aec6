"""A local store whose FORMAT is damaged: a whole mirror is used, the damaged store is kept; without one, it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from colab_guard.errors import ForeignStore, StoreInUse
from colab_guard.store import Store, fetch_from_mirror
from colab_guard.workers import Workers
from tests.store.test_mirror_owners import a_mirror, workers  # noqa: F401
from tests.store.test_store import ME


@pytest.mark.parametrize("content", [b"", b"colab_guard sto", b"\x00\xff rubbish"])
def test_the_mirror_is_used_and_the_damaged_store_is_moved_aside(
    tmp_path: Path, workers: Workers, content: bytes  # noqa: F811
) -> None:
    far = a_mirror(tmp_path, workers, "one", "two")
    local = tmp_path / "a"
    (local / "FORMAT").write_bytes(content)
    before = {path.relative_to(local): path.read_bytes() for path in local.rglob("*") if path.is_file()}
    said: list[Path] = []
    assert fetch_from_mirror(far, local, ME, moved=lambda why, kept: said.append(kept))
    with_state = Store.open(local, ME)
    loaded, _ = with_state.newest()
    assert loaded is not None and loaded.record.position["text"] == "two"
    with_state.close()
    (kept,) = said
    assert kept.parent == tmp_path / ".damaged"
    assert {path.relative_to(kept): path.read_bytes() for path in kept.rglob("*") if path.is_file()} == before


def test_a_damaged_store_that_a_living_process_writes_stays_where_it_is(tmp_path: Path, workers: Workers) -> None:  # noqa: F811
    far = a_mirror(tmp_path, workers)
    local = tmp_path / "a"
    held = Store.open(local, ME)
    (local / "FORMAT").write_bytes(b"")
    with pytest.raises(StoreInUse, match="this kernel"):
        fetch_from_mirror(far, local, ME)
    assert (local / "FORMAT").exists() and not (tmp_path / ".damaged").exists()
    held.close()


def test_without_a_mirror_one_line_says_what_to_do(tmp_path: Path, workers: Workers) -> None:  # noqa: F811
    a_mirror(tmp_path, workers)
    local = tmp_path / "a"
    (local / "FORMAT").write_bytes(b"rubb")
    with pytest.raises(ForeignStore, match=r"its FORMAT says 'rubb'.*--to.*move that folder away.*another NAME") as caught:
        Store.open(local, ME)
    assert "\n" not in str(caught.value)
    assert not fetch_from_mirror(tmp_path / "nowhere", local, ME)
    assert (local / "FORMAT").read_bytes() == b"rubb", "nothing is moved where nothing can take its place"
