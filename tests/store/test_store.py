"""A store gives back what was committed, or the commit before with a word; never something else."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from colab_guard.errors import ForeignStore, StoreInUse, StoreTooNew, UserMistake
from colab_guard.store import BufferDraft, CommitDraft, Identity, Store, describe, describe_newest, disk, packs, verify
from colab_guard.store.records import json_of
from colab_guard.store.view import FORMAT_VERSION

ME = Identity("sweep", "/nb/sweep.ipynb", "c0ffee")


def draft(text: str, data: bytes = b"", kind: str = "step", **more: object) -> CommitDraft:
    buffers = [BufferDraft("b0", data, "float32", (len(data) // 4,), (1,), "weights")] if data else []
    return CommitDraft(kind, {"text": text, "depth": 1}, {"graph": text.encode()}, buffers, **more)  # type: ignore[arg-type]


def filled(path: Path, count: int = 2, size: int = 3 * 2**20) -> dict[str, bytes]:
    """A store with `count` commits of different data; commit text → its data."""
    store = Store.open(path, ME)
    written = {}
    for number in range(count):
        written[f"commit {number}"] = random.Random(number).randbytes(size)
        store.commit(draft(f"commit {number}", written[f"commit {number}"]))
    store.close()
    return written


def test_what_was_committed_comes_back(tmp_path: Path) -> None:
    written = filled(tmp_path / "s")
    loaded, passed = Store.view(tmp_path / "s").newest()
    assert loaded is not None and passed == []
    assert loaded.parts == {"graph": b"commit 1"}
    assert bytes(loaded.buffers["b0"]) == written["commit 1"]


def test_changing_one_byte_of_a_large_buffer_costs_one_chunk(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s", ME)
    data = bytearray(os.urandom(96 * 2**20))
    first = store.commit(draft("a", bytes(data)))
    data[50 * 2**20] ^= 1
    second = store.commit(draft("b", bytes(data)))
    third = store.commit(draft("b", bytes(data)))
    assert first.bytes_new > 96 * 2**20
    assert 2**20 < second.bytes_new < 2**20 + 4096
    assert third.bytes_new == 0
    store.close()


def test_a_reopened_store_does_not_store_again_what_it_verified(tmp_path: Path) -> None:
    written = filled(tmp_path / "s", 1)
    store = Store.open(tmp_path / "s", ME)
    store.newest()
    record = store.commit(draft("commit 0", written["commit 0"]))
    assert record.bytes_new == 0
    store.close()


def damaged_ways(path: Path) -> list[tuple[Path, bytes | None]]:
    """Every file that the newest commit alone needs, in many wrong forms: cut, flipped, missing."""
    view = Store.view(path)
    newest, before = view.commits()[:2]
    names = {p for e in newest.raw["buffers"] for p in e["packs"]} - {p for e in before.raw["buffers"] for p in e["packs"]}
    files = [path / "commits" / f"{newest.id}.json", *(path / "packs" / f"{name}.pack" for name in names)]
    rng = random.Random(7)
    ways: list[tuple[Path, bytes | None]] = []
    for file in files:
        data = file.read_bytes()
        cuts = range(len(data)) if len(data) < 3000 else [0, 1, 15, 16, *rng.sample(range(len(data)), 60), len(data) - 1]
        ways += [(file, data[:cut]) for cut in cuts]
        for place in [*rng.sample(range(len(data)), min(60, len(data))), *range(max(len(data) - 60, 0), len(data))]:
            flipped = bytearray(data)
            flipped[place] ^= 1 << rng.randrange(8)
            ways.append((file, bytes(flipped)))
        ways.append((file, None))
    return ways


def test_however_the_newest_commit_is_damaged_the_one_before_is_used_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "s"
    written = filled(path, 2, size=70_000)
    ways = damaged_ways(path)
    assert len(ways) > 500
    silent = 0
    for file, wrong in ways:
        right = file.read_bytes()
        if wrong is None:
            file.unlink()
        else:
            file.write_bytes(wrong)
        loaded, passed = Store.view(path).newest()
        assert loaded is not None
        text = loaded.parts["graph"].decode()
        assert bytes(loaded.buffers["b0"]) == written[text]
        if text == "commit 1":
            # a byte that no read of this commit's state depends on; `verify` still tells
            assert verify(path), f"{file.name} is damaged and nobody says so"
            silent += 1
        elif wrong is not None:
            assert passed and passed[0].commit.startswith("00000001-0000000002")
        file.write_bytes(right)
    assert silent < len(ways) / 4


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "rename"])
def test_a_crash_at_any_file_operation_loses_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    class Crash(BaseException):
        pass

    real = getattr(os, operation)
    for number in range(12):
        path = tmp_path / f"{operation}{number}"
        written = filled(path, 1, size=5000)
        store = Store.open(path, ME)
        calls = 0

        def crashing(*args: object, _real: object = real, _stop: int = number, **more: object) -> object:
            nonlocal calls
            calls += 1
            if calls > _stop:
                raise Crash
            return _real(*args, **more)  # type: ignore[operator]

        finished = False
        with monkeypatch.context() as patch:
            patch.setattr(disk.os, operation, crashing)
            try:
                store.commit(draft("commit 1", b"x" * 5000))
                finished = True
            except Crash:
                pass
        store.close()
        reopened = Store.open(path, ME)
        loaded, _ = reopened.newest()
        assert loaded is not None
        text = loaded.parts["graph"].decode()
        assert bytes(loaded.buffers["b0"]) == (written["commit 0"] if text == "commit 0" else b"x" * 5000)
        assert text == "commit 1" or not finished
        assert not list(path.rglob(f"{disk.TEMPORARY}*")), "leftovers stay"
        reopened.close()


WRITER = """
import sys, pathlib
from colab_guard.store import *
store = Store.open(pathlib.Path(sys.argv[1]), Identity("sweep", ""))
n = 0
while True:
    data = bytes([n % 251]) * 300_000
    store.commit(CommitDraft("step", {"text": str(n), "depth": 1}, {"graph": str(n).encode()}, [BufferDraft("b", data)]))
    print(n, flush=True)
    n += 1
"""


def test_a_writer_killed_at_any_moment_leaves_its_last_reported_commit(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / f"s{number}"
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        reported = -1
        for _ in range(3 + number * 2):
            reported = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        reported = max([reported, *(int(line) for line in writer.stdout)])
        writer.wait()
        store = Store.open(path, ME)
        loaded, _ = store.newest()
        assert loaded is not None
        newest = int(loaded.parts["graph"])
        assert newest >= reported
        assert bytes(loaded.buffers["b"]) == bytes([newest % 251]) * 300_000
        store.close()


def test_a_living_holder_is_named_and_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(StoreInUse, match=f"pid {writer.pid}.*--take-over"):
            Store.open(path, ME)
        taken = Store.open(path, ME, take_over=True)
        kept = taken.commit(draft("mine"))
        writer.wait(20)
        assert writer.returncode != 0, "the displaced writer goes on committing"
        assert Store.view(path).commits()[0].id == kept.id
        taken.close()
    finally:
        writer.kill()
        writer.wait()


def test_what_an_older_generation_writes_after_a_take_over_does_not_count(tmp_path: Path) -> None:
    old = Store.open(tmp_path / "s", ME)
    old.commit(draft("old"))
    new = Store.open(tmp_path / "s", ME, take_over=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(old, "holds", lambda: True)
        patch.setattr(old, "_collect", lambda *a, **k: None)
        old.commit(draft("zombie"))
    loaded, _ = Store.view(tmp_path / "s").newest()
    assert loaded is not None and loaded.parts["graph"] == b"old"
    new.commit(draft("new"))
    assert [r.position["text"] for r in Store.view(tmp_path / "s").commits()] == ["new", "old"]
    new.close()


def test_another_notebook_with_the_same_name_is_told_both_names(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1)
    with pytest.raises(ForeignStore, match=r"/nb/sweep.ipynb.*/nb/other.ipynb"):
        Store.open(tmp_path / "s", Identity("sweep", "/nb/other.ipynb"))
    Store.open(tmp_path / "s", Identity("sweep", "")).close()


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1)
    (tmp_path / "s" / "FORMAT").write_text(f"colab_guard store {FORMAT_VERSION + 1}\n")
    before = sorted(p.name for p in (tmp_path / "s").rglob("*"))
    with pytest.raises(StoreTooNew, match=f"format {FORMAT_VERSION + 1}, this one reads {FORMAT_VERSION}"):
        Store.open(tmp_path / "s", ME)
    assert sorted(p.name for p in (tmp_path / "s").rglob("*")) == before


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForeignStore, match="holds no colab_guard store"):
        Store.view(tmp_path)


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserMistake, match="COLAB_GUARD_HOME"):
        Store.open(tmp_path / "file" / "s", ME)


def test_old_state_goes_and_unit_ends_keep_their_record_and_what_they_saved(tmp_path: Path) -> None:
    path = tmp_path / "s"
    saved = tmp_path / "adapter.bin"
    store = Store.open(path, ME)
    for number in range(5):
        saved.write_bytes(random.Random(number).randbytes(10_000))
        unit = {"group": "sweep", "key": f"k{number}", "record": {"accuracy": number / 10}}
        store.commit(draft(f"unit {number}", os.urandom(2**20), "unit", unit=unit, unit_files={"adapter.bin": saved}))
        store.commit(draft(f"step {number}", os.urandom(2**20)))
    store.close()
    view = Store.view(path)
    assert [unit.unit["key"] for unit in view.units() if unit.unit] == [f"k{n}" for n in range(5)]
    assert view.read_unit_file(view.units()[0], "adapter.bin") == random.Random(0).randbytes(10_000)
    assert [row.position for row in describe(path).rows if row.whole] == ["step 4", "unit 4"]
    assert sum(p.stat().st_size for p in (path / "packs").iterdir()) < 3.2 * 2**20


def test_a_full_disk_is_tried_once_more_after_older_state_is_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    filled(path, 2)
    store = Store.open(path, ME)
    store.newest()
    real, failures = disk._write_all, [1]

    def full(descriptor: int, data: memoryview) -> None:
        if failures and len(data) > 100_000:
            failures.pop()
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor, data)

    monkeypatch.setattr(disk, "_write_all", full)
    store.commit(draft("after", os.urandom(2**20)))
    assert [r.position["text"] for r in store.commits()] == ["after", "commit 1"]
    store.close()


def test_clearing_forgets_all_commits(tmp_path: Path) -> None:
    filled(tmp_path / "s", 2)
    store = Store.open(tmp_path / "s", ME)
    store.clear()
    assert store.newest() == (None, [])
    store.commit(draft("anew"))
    assert [r.position["text"] for r in store.commits()] == ["anew"]
    store.close()


def test_a_signed_store_refuses_what_is_altered_or_unsigned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s", 1)
    monkeypatch.setenv("COLAB_GUARD_KEY", "secret")
    loaded, passed = Store.view(tmp_path / "s").newest()
    assert loaded is None and any("the record is not signed" in step.reason for step in passed)
    store = Store.open(tmp_path / "s", ME)
    record = store.commit(draft("signed"))
    store.close()
    path = tmp_path / "s" / "commits" / f"{record.id}.json"
    content = json.loads(json_of(path.read_bytes()))
    content["position"]["text"] = "altered"
    data = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    path.unlink()
    (path.parent / f"{record.id[:20]}{packs.digest(data)[:32]}.json").write_bytes(data)
    loaded, passed = Store.view(tmp_path / "s").newest()
    assert loaded is None and any("another key" in step.reason for step in passed)


def test_files_are_private_to_the_user(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1)
    modes = {p.stat().st_mode & 0o077 for p in (tmp_path / "s").rglob("*")}
    assert modes == {0}


def test_a_forked_child_never_commits(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s", ME)
    child = os.fork()
    if child == 0:
        try:
            store.commit(draft("child"))
        except Exception:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    store.close()


def test_a_writer_that_was_displaced_while_it_committed_removes_nothing(tmp_path: Path) -> None:
    old = Store.open(tmp_path / "s", ME)
    old.commit(draft("old"))
    new = Store.open(tmp_path / "s", ME, take_over=True)
    unfinished = [tmp_path / "s" / "packs" / name for name in (f".tmp-{os.getpid()}-x.pack", f"{'0' * 64}.pack")]
    for path in unfinished:
        path.write_bytes(b"the new owner's, whose record is not written yet")
    old._collect()
    assert all(path.exists() for path in unfinished)
    new.close()


def test_a_commit_that_cannot_be_described_leaves_nothing_behind(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s", ME)
    store.commit(draft("a", os.urandom(5000)))
    before = sorted((tmp_path / "s" / "packs").iterdir())
    for _ in range(3):
        with pytest.raises(TypeError):
            store.commit(draft("b", os.urandom(5000), meta={"what": object()}))
        assert sorted((tmp_path / "s" / "packs").iterdir()) == before
    store.commit(draft("c", os.urandom(5000)))
    store.close()
    assert verify(tmp_path / "s") == []


def test_a_store_that_is_opened_on_a_full_disk_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s", 1, 5000)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("colab_guard.store.leases.write_whole", full)
    with pytest.raises(UserMistake, match=r"No space left on device.*free some space there"):
        Store.open(tmp_path / "s", ME)
    monkeypatch.undo()
    assert Store.view(tmp_path / "s").newest()[0] is not None


def test_a_store_that_is_being_written_is_not_called_damaged(tmp_path: Path) -> None:
    store, stopping = Store.open(tmp_path / "s", ME), threading.Event()

    def write() -> None:
        while not stopping.is_set():
            store.commit(draft("a", os.urandom(5000)))

    store.commit(draft("a", os.urandom(5000)))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert [verify(tmp_path / "s") for _ in range(40)] == [[]] * 40
        assert all(describe_newest(tmp_path / "s", 20).rows for _ in range(40))
    finally:
        stopping.set()
        writer.join()
    store.close()
