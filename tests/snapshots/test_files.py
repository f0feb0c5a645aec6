"""Files that the cell writes go with its commits, and come back."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from colab_guard.errors import CannotResume
from colab_guard.snapshots import FolderWatch, bringing


def store_of(folder: Path) -> Path:
    """A local store's folder; hidden, so that it is not looked at."""
    made = folder / ".store"
    made.mkdir()
    return made


def test_only_what_changed_since_the_start_is_kept(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("old")
    (tmp_path / "edited.txt").write_text("before")
    watch = FolderWatch(tmp_path)
    (tmp_path / "edited.txt").write_text("after!!")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "best.pt").write_bytes(b"weights")
    assert set(watch.changed()) == {"edited.txt", "out/best.pt"}


def test_a_large_file_is_named_and_a_glob_keeps_it(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path, limit=10)
    chosen = FolderWatch(tmp_path, limit=10, globs=("*.pt",))
    (tmp_path / "big.pt").write_bytes(bytes(11))
    assert watch.changed() == {}
    assert "--files 'big.pt'" in watch.not_kept["big.pt"]
    assert set(chosen.changed()) == {"big.pt"}


def test_files_come_back_as_they_were_and_later_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("one\ntwo\nthree\n")
    watch = FolderWatch(tmp_path, staging=store_of(tmp_path))
    (tmp_path / "later.txt").write_text("x")
    committed = {"log.txt": b"one\n", "sub/best.pt": b"w"}
    later = watch.restore(committed, committed.__getitem__, {"sub/best.pt": 0o600}).later
    assert (tmp_path / "log.txt").read_text() == "one\n"
    assert (tmp_path / "sub" / "best.pt").read_bytes() == b"w"
    assert later == ("later.txt",)
    assert {"log.txt", "sub/best.pt"} <= set(watch.changed()), "what came back belongs to the next commit too"


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    watch = FolderWatch(inside, staging=store_of(tmp_path))
    try:
        watch.restore(["../outside.txt"], lambda name: b"x", {})
    except CannotResume as error:
        assert "outside.txt" in str(error)
    else:
        raise AssertionError("it was written")
    assert not (tmp_path / "outside.txt").exists()


def test_hidden_and_excluded_folders_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "home").mkdir()
    watch = FolderWatch(tmp_path, excluded=(tmp_path / "home",))
    (tmp_path / ".git" / "x").write_text("x")
    (tmp_path / "home" / "x").write_text("x")
    assert watch.changed() == {}


def test_a_folder_with_too_many_files_is_said_to_be_watched_in_part(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from colab_guard.snapshots import files

    monkeypatch.setattr(files, "ENTRY_LIMIT", 3)
    for number in range(5):
        (tmp_path / str(number)).write_text("x")
    assert not FolderWatch(tmp_path).whole


def test_a_notebook_that_was_saved_meanwhile_is_neither_kept_nor_put_back(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path, staging=store_of(tmp_path))
    (tmp_path / "mine.ipynb").write_text("edited by its user")
    assert watch.changed() == {}
    watch.restore(["mine.ipynb"], lambda name: b"an old one", {})
    assert (tmp_path / "mine.ipynb").read_text() == "edited by its user"


def test_what_is_stored_is_what_was_there_at_the_safe_point(tmp_path: Path) -> None:
    root, staging = tmp_path / "work", tmp_path / "store"
    root.mkdir()
    staging.mkdir()
    watch = FolderWatch(root, staging=staging)
    for content in ("one\n", "two\n", "one\ntwo\n"):
        (root / "log.txt").write_text(content)
        (copy,) = watch.captured().values()
        (root / "log.txt").write_text("later")
        assert copy.read_text() == content
    (root / "log.txt").unlink()
    assert watch.captured() == {}
    watch.forget()
    assert list(staging.iterdir()) == []


def test_a_file_that_is_replaced_is_kept_first_and_named(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "best.pt").write_bytes(b"newer weights")
    watch = FolderWatch(tmp_path, staging=store)
    brought = watch.restore(["sub/best.pt"], lambda name: b"weights", {})
    assert (tmp_path / "sub" / "best.pt").read_bytes() == b"weights"
    assert brought.replaced == ("sub/best.pt",) and brought.left == ()
    assert brought.where is not None and brought.where.parent == store / "replaced"
    assert (brought.where / "sub" / "best.pt").read_bytes() == b"newer weights"


def test_a_text_that_people_edit_is_never_put_over_a_version_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def f(): return 'edited since'")
    watch = FolderWatch(tmp_path, staging=store_of(tmp_path))
    brought = watch.restore(["helper.py", "gone.yaml"], lambda name: b"old", {})
    assert (tmp_path / "helper.py").read_text() == "def f(): return 'edited since'"
    assert (tmp_path / "gone.yaml").read_text() == "old", "one that is missing comes back"
    assert brought.left == ("helper.py",) and brought.replaced == ()
    assert brought.where is not None and (brought.where / "committed" / "helper.py").read_bytes() == b"old"


def test_a_text_that_the_cell_has_open_for_writing_is_the_cells_own(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path, staging=store_of(tmp_path))
    with (tmp_path / "notes.md").open("a") as file, (tmp_path / "read.md").open("w+"), (tmp_path / "read.md").open() as read:
        file.write("one\n")
        file.flush()
        (tmp_path / "other.md").write_text("x")
        assert read.read() == ""
        assert watch.held(["notes.md", "other.md", "log.txt"]) == ["notes.md"]
    (tmp_path / "notes.md").write_text("one\ntwo\n")
    brought = watch.restore(["notes.md"], lambda name: b"one\n", {}, held=["notes.md"])
    assert (tmp_path / "notes.md").read_text() == "one\n"
    assert brought.replaced == ("notes.md",)


def test_nothing_is_kept_or_said_where_files_are_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("one")
    store = store_of(tmp_path)
    brought = FolderWatch(tmp_path, staging=store).restore(["log.txt"], lambda name: b"one", {})
    assert brought == bringing.BroughtBack()
    assert list(store.iterdir()) == []


def test_replaced_files_of_the_newest_resumes_are_kept(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(bringing, "KEPT_RESUMES", 3)
    store = store_of(tmp_path)
    places = []
    for number in range(5):
        (tmp_path / "log.txt").write_text(f"version {number}")
        brought = FolderWatch(tmp_path, staging=store).restore(["log.txt"], lambda name: b"committed", {})
        assert brought.where is not None
        places.append(brought.where)
    assert [place.exists() for place in places] == [False, False, True, True, True]
    monkeypatch.setattr(bringing, "KEPT_BYTES", 0)
    (tmp_path / "log.txt").write_text("version 5")
    last = FolderWatch(tmp_path, staging=store).restore(["log.txt"], lambda name: b"committed", {}).where
    assert last is not None and list((store / "replaced").iterdir()) == [last]
    assert (last / "log.txt").read_text() == "version 5"


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    inside, elsewhere = tmp_path / "inside", tmp_path / "elsewhere"
    inside.mkdir()
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text("mine")
    (inside / "out").symlink_to(elsewhere)
    (inside / "b.txt").symlink_to(elsewhere / "a.txt")
    watch = FolderWatch(inside, staging=store_of(tmp_path))
    for names in (["fine.txt", "out/new.txt"], ["b.txt", "fine.txt"]):
        with pytest.raises(CannotResume, match=r"the link '(out|b\.txt)'"):
            watch.restore(names, lambda name: b"x", {})
    assert [path.name for path in elsewhere.iterdir()] == ["a.txt"] and (elsewhere / "a.txt").read_text() == "mine"
    assert not (inside / "fine.txt").exists(), "nothing is written before all names were looked at"


def staged(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".tmp-")]


@pytest.fixture
def watch(tmp_path: Path) -> FolderWatch:
    """Of an empty folder, with another one for copies."""
    (tmp_path / "work").mkdir()
    return FolderWatch(tmp_path / "work", staging=store_of(tmp_path))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), PermissionError(errno.EACCES, "Permission denied")])
def test_a_file_that_cannot_be_copied_is_named_and_the_others_are_kept(
    watch: FolderWatch, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    real = shutil.copy2

    def failing(path: Path, target: Path) -> None:
        if path.name == "theirs.log":
            target.write_bytes(b"half of it")
            raise error
        real(path, target)

    monkeypatch.setattr(shutil, "copy2", failing)
    assert watch.staging is not None
    for name in ("log.txt", "theirs.log"):
        (watch.root / name).write_text("x")
    for _ in range(3):
        assert set(watch.captured()) == {"log.txt"}
        assert error.strerror in watch.not_kept["theirs.log"]
        assert len(staged(watch.staging)) == 1, "half a copy stays"
    monkeypatch.undo()
    assert set(watch.captured()) == {"log.txt", "theirs.log"} and watch.not_kept == {}


def test_an_interrupt_in_the_middle_of_a_copy_leaves_nothing(watch: FolderWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path, target: Path) -> None:
        target.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copy2", interrupted)
    (watch.root / "log.txt").write_text("x")
    with pytest.raises(KeyboardInterrupt):
        watch.captured()
    assert watch.staging is not None and staged(watch.staging) == []


def test_a_disk_is_never_filled_with_copies(watch: FolderWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch.staging is not None
    (watch.root / "log.txt").write_bytes(bytes(10))
    assert set(watch.captured()) == {"log.txt"}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=2**30, free=2 * 2**20))
    for name, size in (("a.pt", 700), ("b.pt", 700), ("c.pt", 100)):
        (watch.root / name).write_bytes(bytes(size * 2**10))
    kept = set(watch.captured())
    assert kept & {"a.pt", "b.pt"} and not kept >= {"a.pt", "b.pt"}, "a copy needs the same room again in a pack"
    assert kept >= {"log.txt", "c.pt"}
    (told,) = watch.not_kept.values()
    assert "no room" in told and str(watch.staging) in told


def test_a_file_system_that_does_not_tell_its_room_takes_every_file(watch: FolderWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=0, free=0))
    (watch.root / "log.txt").write_text("x")
    assert set(watch.captured()) == {"log.txt"} and watch.not_kept == {}


def test_a_copy_of_a_file_that_may_not_be_written_is_made_anew(watch: FolderWatch) -> None:
    for number in range(2):
        path = watch.root / "log.txt"
        path.unlink(missing_ok=True)
        path.write_text(f"{number}")
        path.chmod(0o400)
        (copy,) = watch.captured().values()
        assert copy.read_text() == f"{number}" and copy.stat().st_mode & 0o777 == 0o400
    assert watch.staging is not None and len(staged(watch.staging)) == 1


def test_what_cannot_be_looked_at_refuses_nothing(watch: FolderWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        """As in a folder that may be listed, and no more."""

        def __init__(self, name: str, folder: bool) -> None:
            self.name, self.path, self._folder = name, str(watch.root / name), folder

        def is_dir(self, **_: bool) -> bool:
            return self._folder

        def is_file(self, **_: bool) -> bool:
            return not self._folder

        def stat(self, **_: bool) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: [*real(path), Entry("theirs.log", False), Entry("theirs", True)])
    (watch.root / "log.txt").write_text("x")
    assert set(watch.captured()) == {"log.txt"}


def test_what_stands_where_a_commit_has_a_file_is_named_before_anything_is_written(watch: FolderWatch) -> None:
    ways = {
        "out": (lambda: (watch.root / "out").mkdir(), r"/work/out is a folder, where the commit has the file 'out'; move it away.*--fresh"),
        "sub/x.pt": (lambda: (watch.root / "sub").write_text("x"), r"/work/sub is a file, where the commit has the folder of the file 'sub/x\.pt'"),
        "pipe": (lambda: os.mkfifo(watch.root / "pipe"), r"/work/pipe is neither"),
    }
    for name, (make, told) in ways.items():
        make()
        with pytest.raises(CannotResume, match=told) as caught:
            watch.restore(["a.txt", name], lambda name: b"x", {})
        assert "\n" not in str(caught.value) and not (watch.root / "a.txt").exists()


def test_a_full_disk_is_said_in_one_line_where_files_are_brought_back(watch: FolderWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    (watch.root / "a.txt").write_text("before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(CannotResume, match=r"'a\.txt' cannot be written back \(No space left on device\); free some space and run") as caught:
            watch.restore(["a.txt"], lambda name: b"x", {})
    assert "\n" not in str(caught.value)
    assert [path.name for path in watch.root.iterdir()] == ["a.txt"] and (watch.root / "a.txt").read_text() == "before"
    watch.restore(["a.txt"], lambda name: b"x", {})
    assert (watch.root / "a.txt").read_bytes() == b"x"
