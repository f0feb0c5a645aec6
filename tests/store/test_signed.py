"""With a key, only what was signed with it counts; what a key cannot tell is told in `signing`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from colab_guard.errors import ForeignStore
from colab_guard.store import Identity, Store, packs, verify
from colab_guard.store.view import FORMAT_VERSION
from tests.store.test_store import ME, draft, filled


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLAB_GUARD_KEY", "the user's key")
    return "the user's key"


def lease(path: Path, **content: Any) -> Path:
    """A lease as somebody without the key would write it."""
    made = {"continues": None, "created": 1.0, "notebook": "", "owner": {"pid": 1, "started": 0.0, "boot": "", "host": "x"}, **content}
    data = json.dumps(made).encode()
    written = path / "leases" / f"{made['generation']:08d}-{packs.digest(data)[:16]}.json"
    written.write_bytes(data)
    return written


def newest_text(path: Path) -> tuple[str | None, list[str]]:
    loaded, passed = Store.view(path).newest()
    return (loaded.parts["graph"].decode() if loaded is not None else None), [step.reason for step in passed]


@pytest.mark.usefixtures("key")
def test_what_is_signed_is_read_and_told_to_be_whole(tmp_path: Path) -> None:
    filled(tmp_path / "s", 3, 5000)
    assert newest_text(tmp_path / "s") == ("commit 2", [])
    assert verify(tmp_path / "s") == []


@pytest.mark.usefixtures("key")
def test_a_lease_of_somebody_else_hides_no_commit(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2, 5000)
    lease(tmp_path / "s", generation=7)
    lease(tmp_path / "s", generation=8, continues=[1, 1], hmac="0" * 64)
    text, said = newest_text(tmp_path / "s")
    assert text == "commit 1"
    assert any("not signed" in reason for reason in said) and any("another key" in reason for reason in said)
    store = Store.open(tmp_path / "s", ME)
    assert store.generation == 9
    store.commit(draft("later"))
    store.close()
    assert newest_text(tmp_path / "s")[0] == "later"


@pytest.mark.usefixtures("key")
def test_a_mark_of_somebody_else_is_said(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2, 5000)
    mark = next((tmp_path / "s" / "leases").glob("*.released"))
    for text in ("released 1 1\n", "released 1 9 0123456789abcdef\n", "released\n"):
        mark.write_text(text)
        found, said = newest_text(tmp_path / "s")
        assert found == "commit 1" and any("given back" in reason for reason in said)


def test_a_commit_signed_for_another_name_is_not_taken_up(tmp_path: Path, key: str) -> None:
    filled(tmp_path / "sweep", 2, 5000)
    shutil.copytree(tmp_path / "sweep", tmp_path / "other")
    store = Store.open(tmp_path / "other", Identity("other", ME.notebook))
    loaded, passed = store.newest()
    assert loaded is None and any("signed for the NAME 'sweep'" in step.reason for step in passed)
    store.close()


@pytest.mark.usefixtures("key")
def test_a_lost_newest_commit_is_said_where_a_lease_tells_of_it(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2, 5000)
    max((tmp_path / "s" / "commits").iterdir()).unlink()
    text, said = newest_text(tmp_path / "s")
    assert text == "commit 0" and any("its record is gone" in reason for reason in said)


@pytest.mark.usefixtures("key")
def test_a_pack_of_another_content_is_damage(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 5000)
    whole = next((tmp_path / "s" / "packs").iterdir())
    other = packs.write_pack(tmp_path, [(packs.digest(b"other"), memoryview(b"other"))], FORMAT_VERSION)
    os.replace(other.path, whole)
    text, said = newest_text(tmp_path / "s")
    assert text is None and said


def test_leases_that_are_numbered_to_the_end_are_refused(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 5000)
    lease(tmp_path / "s", generation=99_999_999, continues=[1, 1])
    with pytest.raises(ForeignStore, match="somebody else wrote there"):
        Store.open(tmp_path / "s", ME)
    assert newest_text(tmp_path / "s")[0] == "commit 0"


def test_a_key_that_is_set_later_is_asked_for_of_what_was_looked_at_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s", 2, 5000)
    view = Store.view(tmp_path / "s")
    assert view.newest()[0] is not None
    monkeypatch.setenv("COLAB_GUARD_KEY", "the user's key")
    loaded, passed = view.newest()
    assert loaded is None and sum("the record is not signed" in step.reason for step in passed) == 2


@pytest.mark.usefixtures("key")
def test_a_signed_record_under_the_name_of_a_later_one_does_not_count(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2, 5000)
    oldest = min((tmp_path / "s" / "commits").iterdir())
    shutil.copy(oldest, oldest.with_name(oldest.name.replace("-0000000001-", "-0000000009-")))
    view = Store.view(tmp_path / "s")
    assert len(view.standing()) == 2
    assert ["does not belong to its name" in problem.reason for problem in view.problems] == [True]
