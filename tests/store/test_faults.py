"""Every fault of the faulty file systems: what was called durable is there, training is not slowed, the mirror catches up."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from colab_guard.events import Event, EventBus, SnapshotDurable
from colab_guard.store import FolderPlace, Mirror, Place, Store, UrlPlace, fetch_from_mirror
from colab_guard.store.faults import Faults, FaultyPlace
from colab_guard.store.mirror import calls, sending
from colab_guard.workers import Workers
from tests.store.test_store import ME, draft

pytestmark = pytest.mark.flaky(reruns=0)
"""A loss that was seen once is a loss: CI runs other tests that fail once more."""

PROOF = "a server that can be believed"
CAUGHT_UP_S = 20.0


class Far:
    """A store, a mirror at a faulty place, and all durable commits that were told of."""

    def __init__(self, tmp_path: Path, place: Place | None = None, proof: str | None = PROOF) -> None:
        self.root = tmp_path
        self.faults = Faults()
        self.folder = tmp_path / "far"
        self.place: Place = place or FaultyPlace(FolderPlace(self.folder), self.faults, proof=proof)
        self.events: list[Event] = []
        self.workers = Workers()
        bus = EventBus(synchronous=True)
        bus.subscribe(lambda event, at: self.events.append(event))
        self.store = Store.open(tmp_path / "local", ME)
        self.mirror = Mirror(self.store, self.place, workers=self.workers, bus=bus, every_s=0.01)
        self.commit("first")
        assert self.mirror.flush(10), self.mirror.status

    def commit(self, text: str) -> str:
        commit = self.store.commit(draft(text, os.urandom(50_000))).id
        self.mirror.nudge()
        return commit

    @property
    def durable(self) -> list[str]:
        return [event.commit for event in self.events if isinstance(event, SnapshotDurable)]

    def degraded(self, word: str) -> None:
        until = time.monotonic() + CAUGHT_UP_S
        while time.monotonic() < until and not (self.mirror.status.state == "degraded" and word in self.mirror.status.reason):
            time.sleep(0.01)
        assert self.mirror.status.state == "degraded" and word in self.mirror.status.reason, self.mirror.status

    def catches_up(self, commit: str) -> None:
        until = time.monotonic() + CAUGHT_UP_S
        while time.monotonic() < until and not (commit in self.durable and self.mirror.status.state == "ok"):
            time.sleep(0.01)
        assert commit in self.durable and self.mirror.status.state == "ok", self.mirror.status

    def comes_back(self, text: str, place: Place | None = None) -> None:
        """The machine is lost; another one has the mirror alone."""
        other = self.root / f"other-{time.monotonic_ns()}"
        assert fetch_from_mirror(place or FolderPlace(self.folder), other, ME)
        loaded, _ = Store.view(other).newest()
        assert loaded is not None and loaded.parts["graph"] == text.encode()

    def close(self) -> None:
        self.faults.heal()
        self.mirror.close(5)
        self.store.close()
        self.workers.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "RETRY_S", 0.05)
    monkeypatch.setattr(calls, "CALL_LIMIT_S", 0.4)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    made = Far(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ENOTCONN])
@pytest.mark.parametrize("operation", ["send", "read", "list", "rename", "remove"])
def test_an_error_of_the_place_is_shown_and_nothing_is_called_durable_that_is_not(far: Far, operation: str, code: int) -> None:
    far.faults.fail(operation, code)
    far.commit("second")
    third = far.commit("third")
    far.degraded(os.strerror(code))
    if operation in ("send", "rename"):
        assert third not in far.durable
        far.comes_back("first")
    far.faults.heal()
    far.catches_up(third)
    far.comes_back("third")


@pytest.mark.parametrize("operation", ["send", "read", "list", "size", "remove"])
def test_a_call_that_hangs_for_ever_stops_neither_commits_nor_the_mirror_for_long(far: Far, operation: str) -> None:
    far.faults.hang(operation)
    began = time.monotonic()
    commits = [far.commit(f"step {number}") for number in range(5)]
    assert time.monotonic() - began < 2, "commits waited for the mirror"
    far.degraded("did not answer")
    if operation == "send":
        assert commits[-1] not in far.durable
    far.faults.heal()
    far.catches_up(commits[-1])
    far.comes_back("step 4")


def test_a_file_of_which_only_a_part_arrives_does_not_count(far: Far) -> None:
    far.faults.short = 0.6
    second = far.commit("second")
    far.degraded("did not arrive whole")
    assert second not in far.durable
    far.comes_back("first")
    far.faults.heal()
    far.catches_up(second)
    far.comes_back("second")


def test_a_file_that_is_seen_late_is_durable_only_when_it_is_seen(far: Far) -> None:
    far.faults.unseen = 3
    second = far.commit("second")
    far.catches_up(second)
    far.comes_back("second")


def test_what_is_answered_from_a_cache_is_no_proof(tmp_path: Path) -> None:
    far = Far(tmp_path, proof=None)
    far.faults.cached_reads, far.faults.short = True, 0.5
    far.commit("second")
    assert far.mirror.flush(10), "the cache says that all is well"
    assert far.durable == [], "and it is not believed"
    far.comes_back("first")
    far.close()


def test_what_was_not_uploaded_is_lost_with_the_machine_and_was_only_sent(tmp_path: Path) -> None:
    far = Far(tmp_path, proof=None)
    far.faults.queued = True
    far.commit("second")
    assert far.mirror.flush(10) and far.durable == []
    assert isinstance(far.place, FaultyPlace) and far.place.waiting
    far.place.lose_machine()
    far.comes_back("first")
    far.close()


def test_the_order_of_uploads_does_not_matter(tmp_path: Path) -> None:
    far = Far(tmp_path, proof=None)
    far.faults.queued = True
    far.commit("second")
    assert far.mirror.flush(10) and isinstance(far.place, FaultyPlace)
    for name in reversed(far.place.waiting):
        far.comes_back("first")
        far.place.upload(name)
    far.comes_back("second")
    far.close()


def test_names_that_appear_twice_harm_nothing(far: Far) -> None:
    far.faults.duplicates = True
    pack = next((far.folder / "packs").iterdir())
    pack.write_bytes(pack.read_bytes()[:100])
    second = far.commit("second")
    far.faults.duplicates = False
    far.catches_up(second)
    far.comes_back("second")


def test_a_file_that_someone_removed_there_is_sent_again_before_the_next_commit_is_durable(far: Far) -> None:
    shutil.rmtree(far.folder / "packs")
    second = far.commit("second")
    far.catches_up(second)
    far.comes_back("second")


def test_an_fsspec_file_system_that_fails_is_the_same(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    from colab_guard.store.faults.filesystem import FaultyFileSystem

    faults = Faults()
    below = fsspec.filesystem("file", auto_mkdir=True, skip_instance_cache=True)
    # a path of the local file system under the name of a service that is believed when it is read back
    place = UrlPlace(f"abfs://{tmp_path}/far", filesystem=FaultyFileSystem(below, faults))
    (tmp_path / "far").mkdir()
    for part in ("packs", "commits", "leases"):
        (tmp_path / "far" / part).mkdir()
    far = Far(tmp_path, place)
    assert len(far.durable) == 1
    faults.fail("send", errno.EIO)
    second = far.commit("second")
    far.degraded("Input/output error")
    faults.heal()
    far.catches_up(second)
    faults.short = 0.5
    third = far.commit("third")
    far.degraded("not there as it was sent")
    assert third not in far.durable
    faults.heal()
    far.catches_up(third)
    faults.hang("send")
    fourth = far.commit("fourth")
    far.degraded("did not answer")
    faults.heal()
    far.catches_up(fourth)
    far.comes_back("fourth")
    far.close()
