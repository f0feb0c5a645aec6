"""A mirror that is read badly, in part, or by a stranger: nothing on it is lost by that, and nothing goes without a word."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from colab_guard.errors import ForeignStore, MirrorUnusable, UserMistake
from colab_guard.store import FolderPlace, Mirror, Store, disk, fetch_from_mirror
from colab_guard.store.faults import Faults, FaultyPlace
from colab_guard.store.mirror import copying, reading
from colab_guard.workers import Workers
from tests.store.test_mirror import Setup
from tests.store.test_mirror_owners import a_mirror, mirrored, workers  # noqa: F401
from tests.store.test_store import ME, draft


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAUSE_S", 0.0)


@pytest.fixture
def far(tmp_path: Path, workers: Workers) -> Path:  # noqa: F811
    """A mirror of two commits, whose machine is lost."""
    made = a_mirror(tmp_path, workers, "one", "two")
    shutil.rmtree(tmp_path / "a")
    return made


def files(far: Path) -> set[str]:
    return {path.name for part in ("commits", "packs") for path in (far / part).iterdir()}


def record_of(far: Path, text: str) -> Path:
    (found,) = [r for r in Store.view(far).commits() if r.position["text"] == text]
    return far / "commits" / f"{found.id}.json"


def pack_of(far: Path, text: str) -> Path:
    (found,) = [r for r in Store.view(far).commits() if r.position["text"] == text]
    (pack,) = found.raw["buffers"][0]["packs"]
    return far / "packs" / f"{pack}.pack"


def flip(path: Path, at: int = 60) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def newest(path: Path) -> str:
    loaded, _ = Store.view(path).newest()
    assert loaded is not None
    return str(loaded.record.position["text"])


class Cut(FolderPlace):
    """Its first read of each file in `part` is cut short."""

    def __init__(self, path: Path, part: str) -> None:
        super().__init__(path)
        self.part, self.cut = part, set[str]()

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data = super().read(name, start, length)
        if name.startswith(self.part) and name not in self.cut:
            self.cut.add(name)
            return data[:50]
        return data


@pytest.mark.parametrize("part", ["packs", "commits", "leases", "FORMAT"])
def test_a_read_that_fails_once_is_tried_again(far: Path, tmp_path: Path, part: str) -> None:
    faults = Faults()
    faults.fail("read", errno.EIO, match=f"{part}*", times=1)
    assert fetch_from_mirror(FaultyPlace(FolderPlace(far), faults), tmp_path / "b", ME)
    assert newest(tmp_path / "b") == "two"


@pytest.mark.parametrize("part", ["packs", "commits", "leases"])
def test_a_read_that_comes_short_once_is_not_believed(far: Path, tmp_path: Path, part: str) -> None:
    place = Cut(far, part)
    fetched = fetch_from_mirror(place, tmp_path / "b", ME)
    assert place.cut and fetched.passed == () and newest(tmp_path / "b") == "two"
    assert Store.view(tmp_path / "b").newest()[1] == []


@pytest.mark.parametrize("part", ["packs", "commits", "leases"])
def test_a_mirror_that_cannot_be_read_is_one_line_and_not_an_empty_one(far: Path, tmp_path: Path, part: str) -> None:
    faults = Faults()
    faults.fail("read", errno.ENOTCONN, match=f"{part}/*")
    with pytest.raises(MirrorUnusable, match=r"cannot be read \(.*not connected.*run the cell again") as caught:
        fetch_from_mirror(FaultyPlace(FolderPlace(far), faults), tmp_path / "b", ME)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_another_at_each_read_is_not_taken_for_a_damaged_one(far: Path, tmp_path: Path) -> None:
    class Unsteady(FolderPlace):
        def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
            data = super().read(name, start, length)
            return os.urandom(len(data)) if name.startswith("packs/") else data

    with pytest.raises(MirrorUnusable, match="is another at each look"):
        fetch_from_mirror(Unsteady(far), tmp_path / "b", ME)
    assert not list((tmp_path / "b" / "packs").iterdir())


@pytest.mark.parametrize("what", ["record", "pack"])
def test_what_is_damaged_there_is_said_and_what_may_be_its_own_stays(
    far: Path, tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, what: str  # noqa: F811
) -> None:
    record, pack = record_of(far, "two"), pack_of(far, "two")
    flip(record if what == "record" else pack)
    monkeypatch.setattr(copying, "ORPHAN_S", 0.0)
    for turn in ("first", "second"):  # also where the other work has gone on above it
        fetched = fetch_from_mirror(far, tmp_path / "b", ME)
        if turn == "first":
            assert [step.commit for step in fetched.passed] == [record.stem] and "damaged" in fetched.passed[0].reason
            assert newest(tmp_path / "b") == "one"
        store = Store.open(tmp_path / "b", ME)
        store.newest()
        mirror = Mirror(store, far, workers=workers, every_s=0.01, unread=fetched.unread)
        for number in range(3):
            store.commit(draft(f"later {number}", os.urandom(3000)))
            assert mirror.flush(10), mirror.status.reason
        mirror.close(5)
        store.close()
        assert what == "pack" or {record.name, pack.name} <= files(far)
        if what == "pack":
            return  # the record can be read: the next look finds what it needs


def test_a_units_end_that_is_damaged_there_is_said_though_the_newest_is_whole(tmp_path: Path, workers: Workers) -> None:  # noqa: F811
    store = Store.open(tmp_path / "a", ME)
    mirror = mirrored(store, tmp_path / "far", workers)
    ends = [store.commit(draft(f"{n}", os.urandom(3000), "unit", unit={"group": "g", "key": str(n), "record": {}})) for n in range(4)]
    assert mirror.flush(10)
    flip(tmp_path / "far" / "commits" / f"{ends[0].id}.json")
    assert [step.commit for step in fetch_from_mirror(tmp_path / "far", tmp_path / "b", ME).passed] == [ends[0].id]
    assert newest(tmp_path / "b") == "3"


@pytest.mark.parametrize("before", ["right", ""])
def test_commits_signed_with_another_key_are_refused_before_anything_is_written(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, before: str  # noqa: F811
) -> None:
    monkeypatch.setenv("COLAB_GUARD_KEY", before)
    far = a_mirror(tmp_path, workers, "one", "two")
    there = files(far)
    monkeypatch.setenv("COLAB_GUARD_KEY", "typo")
    own = Store.open(tmp_path / "own", ME, above=7)
    own.commit(draft("newer, with nothing in common", os.urandom(3000)))
    own.close()
    for local in ("new", "a", "own"):
        with pytest.raises(ForeignStore, match=r"2 commits there cannot be taken up \(the record is .*COLAB_GUARD_KEY.*--fresh"):
            fetch_from_mirror(far, tmp_path / local, ME)
    assert not (tmp_path / "new").exists() and files(far) == there


def test_a_strangers_older_commits_stay_where_what_is_newer_can_be_read(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    far = a_mirror(tmp_path, workers, "one", "two")
    there = files(far)
    monkeypatch.setenv("COLAB_GUARD_KEY", "mine")
    monkeypatch.setattr(copying, "ORPHAN_S", 0.0)
    store = Store.open(tmp_path / "b", ME, above=1)
    store.clear()
    store.commit(draft("signed", os.urandom(3000)))
    mirror = mirrored(store, far, workers, take_over=True)
    mirror._copies.unread = frozenset(f"{part}/{name}" for part in ("commits", "packs") for name in there)
    assert mirror.flush(10)
    mirror.close(5)
    store.close()
    fetched = fetch_from_mirror(far, tmp_path / "c", ME)
    assert fetched and newest(tmp_path / "c") == "signed"
    assert {name.partition("/")[2] for name in fetched.unread} >= there


@pytest.mark.parametrize("part", ["packs", "commits", "leases"])
def test_a_fetch_that_is_cut_off_leaves_what_was_here(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, part: str  # noqa: F811
) -> None:
    far = a_mirror(tmp_path, workers, "one")
    store = Store.open(tmp_path / "a", ME)
    store.commit(draft("here only", os.urandom(3000)))
    store.close()
    assert fetch_from_mirror(far, tmp_path / "b", ME)
    other = Store.open(tmp_path / "b", ME, above=5)
    other.commit(draft("theirs", os.urandom(3000)))
    assert mirrored(other, far, workers, take_over=True).flush(10)
    real = disk.write_whole

    def cut(path: Path, pieces: disk.Pieces, **more: bool) -> None:
        if path.parent.name == part:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, pieces, **more)

    with monkeypatch.context() as patch, pytest.raises(UserMistake, match=r"No space left.*COLAB_GUARD_HOME"):
        patch.setattr(disk, "write_whole", cut)
        fetch_from_mirror(far, tmp_path / "a", ME)
    assert newest(tmp_path / "a") == ("here only" if part in ("packs", "commits") else "theirs")


def test_a_pack_that_came_whole_is_not_brought_again(far: Path, tmp_path: Path) -> None:
    faults = Faults()
    place = FaultyPlace(FolderPlace(far), faults)
    last = max(path.name for path in (far / "packs").iterdir())
    faults.fail("read", errno.EIO, match=f"packs/{last}")
    with pytest.raises(MirrorUnusable):
        fetch_from_mirror(place, tmp_path / "b", ME)
    faults.heal()
    came = {path.name for path in (tmp_path / "b" / "packs").iterdir()}
    assert came and last not in came
    for name in came:
        faults.fail("read", errno.EIO, match=f"packs/{name}")
    assert fetch_from_mirror(place, tmp_path / "b", ME) and newest(tmp_path / "b") == "two"


def test_what_another_machine_went_on_without_is_said(tmp_path: Path, workers: Workers) -> None:  # noqa: F811
    far = a_mirror(tmp_path, workers, "one")
    assert fetch_from_mirror(far, tmp_path / "b", ME)
    store = Store.open(tmp_path / "a", ME)
    lost = [store.commit(draft(f"here only {number}", os.urandom(3000))) for number in range(2)][-1]
    store.close()
    other = Store.open(tmp_path / "b", ME)
    other.commit(draft("theirs", os.urandom(3000)))
    other.commit(draft("theirs too", os.urandom(3000)))
    other.commit(draft("theirs at last", os.urandom(3000)))
    assert mirrored(other, far, workers).flush(10)
    (said,) = fetch_from_mirror(far, tmp_path / "a", ME).passed
    assert said.commit == lost.id and "2 commits up to it were saved on this machine only" in said.reason


@pytest.mark.parametrize("commits", [1, 5])
def test_two_histories_with_nothing_in_common_are_named_and_one_is_chosen(
    tmp_path: Path, workers: Workers, commits: int  # noqa: F811
) -> None:
    far = a_mirror(tmp_path, workers, *(f"there {number}" for number in range(3)))
    there, local = files(far), tmp_path / "b"
    store = Store.open(local, ME)
    for number in range(commits):
        store.commit(draft(f"here {number}", os.urandom(3000)))
    store.close()
    words = rf"stands at here {commits - 1} \(saved .* on this machine and at there 2 \(saved .*--take-over.*--fresh.*another NAME"
    with pytest.raises(ForeignStore, match=words):
        fetch_from_mirror(far, local, ME)
    assert files(far) == there and newest(local) == f"here {commits - 1}"
    assert fetch_from_mirror(far, local, ME, take_over=True).apart
    for more in ({"take_over": True}, {}):  # what took over goes on without the option
        store = Store.open(local, ME, above=1)
        store.commit(draft("goes on", os.urandom(3000)))
        mirror = mirrored(store, far, workers, **more)
        assert mirror.flush(10), mirror.status.reason
        mirror.close(5)
        store.close()
        assert not fetch_from_mirror(far, local, ME).apart
    assert newest(far) == "goes on"


def test_leases_that_a_fetch_which_was_cut_off_left_out_are_brought_at_the_next(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    here.store.commit(draft("first", os.urandom(3000)))
    assert here.mirror.flush(10)
    here.close()
    shutil.rmtree(here.local)
    assert fetch_from_mirror(here.far, here.local, ME)
    for lease in (here.local / "leases").iterdir():  # they come last
        lease.unlink()
    assert fetch_from_mirror(here.far, here.local, ME)
    assert {path.name for path in (here.local / "leases").iterdir()} >= {path.name for path in (here.far / "leases").glob("*.json")}
    assert not fetch_from_mirror(here.far, here.local, ME)
