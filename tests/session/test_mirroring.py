"""What `--to` means for a guarded cell: the place, what is told before it runs, and the waiting for another machine."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from colab_guard import hosts, store
from colab_guard.clock import FakeClock
from colab_guard.errors import MirrorUnusable, StoreInUse
from colab_guard.events import Event, EventBus, LeaseWaitedFor, MirrorTried, Resumed
from colab_guard.hosts import places
from colab_guard.hosts.fake_colab import FakeColab
from colab_guard.session import mirroring
from colab_guard.session.cell_files import CellFiles
from colab_guard.session.mirroring import Mirroring, place_at
from colab_guard.session.options import CheckpointOptions
from colab_guard.store import FolderPlace, Identity, Mirror, Store
from colab_guard.store.leases import Owner
from colab_guard.store.mirror import holders
from colab_guard.workers import Workers
from tests.session.notebook import Kernel
from tests.store.test_store import draft

ME = Identity("sweep", "/nb/sweep.ipynb")


class Cell:
    def __init__(self, where: str, **options: bool) -> None:
        self.events: list[Event] = []
        self.bus = EventBus(synchronous=True)
        self.bus.subscribe(lambda event, at: self.events.append(event))
        self.clock = FakeClock()
        given = CheckpointOptions(to=where, take_over=options.get("take_over", False))
        found = Mirroring.at("sweep", given, Workers(), self.bus, self.clock)
        assert found is not None
        self.far = found

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


def test_drive_is_mounted_and_what_goes_there_is_sent_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DRIVE_MOUNT", tmp_path / "drive")
    with FakeColab() as colab:
        place = place_at(hosts.mirror_place("drive", "sweep"))
        assert colab.mounted == [tmp_path / "drive"]
    assert place.name == str(tmp_path / "drive/MyDrive/colab_guard/sweep") and place.traits.keeps_deleted
    place.make_folders(["packs"])
    (tmp_path / "file").write_bytes(b"x")
    assert place.send(tmp_path / "file", "packs/file") is None


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_all_that_is_made_for_a_mirror_on_a_disk_is_private(scheme: str, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        held = Store.open(tmp_path / "local", ME)
        mirror = Mirror(held, place_at(hosts.mirror_place(f"{scheme}{tmp_path}/far/runs", "sweep")), workers=(workers := Workers()), every_s=0.01)
        held.commit(draft("a", b"x" * 3000))
        assert mirror.flush(10)
        mirror.close(5)
        held.close()
        workers.stop()
    finally:
        os.umask(before)
    made = [tmp_path / "far", *(tmp_path / "far").rglob("*")]
    assert len(made) > 8 and {path.name for path in made if path.stat().st_mode & 0o077} == set()


def test_a_mirror_below_the_working_folder_is_no_file_of_the_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "stores"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    watches = [CellFiles("sweep", CheckpointOptions(to=where), tmp_path / "stores", EventBus()).watch for where in ("far", "~/far", f"file://{tmp_path}/far")]
    (tmp_path / "far").mkdir()
    for name in ("far/a", "mine"):
        (tmp_path / name).write_text("x")
    assert [set(watch.captured()) for watch in watches] == [{"mine"}] * 3


def test_drive_without_a_tab_says_that_it_needs_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DRIVE_MOUNT", tmp_path / "drive")
    with FakeColab(consent=False), pytest.raises(MirrorUnusable, match=r"open in a browser tab.*run the cell again"):
        Cell("drive")
    assert "google.colab" not in sys.modules


@pytest.mark.parametrize("where", ["folder", "drive"])
def test_a_mount_that_hangs_when_the_cell_begins_is_one_clear_line(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(mirroring, "LOOK_S", 0.3)
    monkeypatch.setattr(places, "DRIVE_MOUNT", tmp_path / "drive")
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    monkeypatch.setattr(Path, "exists", lambda self: hanging.wait(20))
    with FakeColab() as colab, pytest.raises(MirrorUnusable, match="did not answer within"):
        Cell(str(tmp_path / "far") if where == "folder" else "drive")
    assert colab.mounted == []
    hanging.set()


def test_drive_is_mounted_by_the_thread_that_may_ask_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DRIVE_MOUNT", tmp_path / "drive")
    asked: list[threading.Thread] = []
    with FakeColab() as colab:
        module = sys.modules["google.colab.drive"]
        plain = module.mount
        monkeypatch.setattr(module, "mount", lambda where: (asked.append(threading.current_thread()), plain(where)))
        Cell("drive")
        assert colab.mounted == [tmp_path / "drive"]
    assert asked == [threading.main_thread()]


def test_a_place_is_tried_before_the_work_and_told_in_one_event(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    cell = Cell(f"file://{tmp_path}/far")
    cell.far.try_it()
    (told,) = cell.told(MirrorTried)
    assert isinstance(told, MirrorTried) and told.proof == "" and told.seconds > 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def another_machine(far: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Mirror, Store]:
    real = Owner.me()
    theirs = Owner(os.getpid(), 1.0, "another boot", "another-host")
    monkeypatch.setattr(Owner, "me", classmethod(lambda cls: theirs))
    held = Store.open(far.parent / "theirs", ME)
    mirror = Mirror(held, FolderPlace(far / "colab_guard" / "sweep"), workers=Workers(), every_s=0.01)
    held.commit(draft("theirs"))
    assert mirror.flush(10)
    monkeypatch.setattr(Owner, "me", classmethod(lambda cls: real))
    return mirror, held


def look_beside(cell: Cell, local: Path) -> tuple[threading.Thread, list[BaseException]]:
    failed: list[BaseException] = []

    def look() -> None:
        try:
            cell.far.look(local, ME)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    return thread, failed


def passes(cell: Cell, thread: threading.Thread, seconds: float) -> None:
    until = cell.clock.monotonic() + seconds
    while thread.is_alive() and cell.clock.monotonic() < until:
        cell.clock.advance(1.0)
        thread.join(0.05)


def test_a_silent_holder_is_waited_for_which_is_said_and_then_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another_machine(tmp_path / "far", monkeypatch)
    cell = Cell(str(tmp_path / "far"))
    thread, failed = look_beside(cell, tmp_path / "mine")
    passes(cell, thread, 300)
    assert not thread.is_alive() and not failed
    assert 85 <= cell.clock.monotonic() - 1_000_000.0 <= 120
    (told,) = cell.told(LeaseWaitedFor)
    assert isinstance(told, LeaseWaitedFor) and "another-host" in told.holder and told.seconds <= 90
    opened = store.Store.open(tmp_path / "mine", ME)
    loaded, _ = opened.newest()
    assert loaded is not None and loaded.parts["graph"] == b"theirs"
    opened.close()


def test_a_living_holder_is_named_and_the_cell_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, held = another_machine(tmp_path / "far", monkeypatch)
    cell = Cell(str(tmp_path / "far"))
    thread, failed = look_beside(cell, tmp_path / "mine")
    while not cell.told(LeaseWaitedFor) and thread.is_alive():
        thread.join(0.05)
    holders.beat(FolderPlace(tmp_path / "far" / "colab_guard" / "sweep"), held.lease_name or "")
    passes(cell, thread, 60)
    assert len(failed) == 1 and isinstance(failed[0], StoreInUse) and "another-host" in str(failed[0])
    mirror.close(5)
    held.close()


def test_take_over_waits_for_nobody_and_calls_nothing_durable_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another_machine(tmp_path / "far", monkeypatch)
    cell = Cell(str(tmp_path / "far"), take_over=True)
    assert cell.far.look(tmp_path / "mine", ME) == 1
    assert cell.far.settle_s == store.SETTLE_S and not cell.told(LeaseWaitedFor)


CELL = """
total = 0
for step in range(5):
    here()
    total += step
"""


@pytest.mark.parametrize("machine", ["new", "same"])
def test_a_resume_says_whether_its_commit_came_from_the_mirror(new_kernel: Callable[..., Kernel], tmp_path: Path, machine: str) -> None:
    where = str(tmp_path / "far")
    (tmp_path / "far").mkdir()
    new_kernel().guarded(CELL, lose_at=4, to=where)
    if machine == "new":
        shutil.rmtree(hosts.home())
    second = new_kernel()
    second.guarded(CELL, to=where)
    (told,) = [event for event in second.events if isinstance(event, Resumed)]
    assert told.source == ("mirror" if machine == "new" else "local")
    assert second.names["total"] == 10
