"""Two machines and one mirror: who holds it, when it is free, and that the older one harms nothing."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from colab_guard.clock import FakeClock
from colab_guard.errors import ForeignStore, StoreInUse
from colab_guard.events import Event, EventBus, SnapshotDurable
from colab_guard.store import FolderPlace, Mirror, Store, Watch, fetch_from_mirror
from colab_guard.store.faults import Faults, FaultyPlace
from colab_guard.store.leases import Owner
from colab_guard.store.mirror import holders, sending
from colab_guard.store.mirror.calls import Call
from colab_guard.workers import Workers
from tests.store.test_store import ME, draft


class Machine:
    """A machine with a boot id, a host name and a wall clock of its own."""

    def __init__(self, root: Path, name: str, patch: pytest.MonkeyPatch, hours: float = 0.0) -> None:
        self.path, self.name, self._patch = root / name, name, patch
        self.clock = FakeClock(1_000_000.0 + hours * 3600)
        self.workers = Workers()
        self.events: list[Event] = []
        self.bus = EventBus(synchronous=True)
        self.bus.subscribe(lambda event, at: self.events.append(event))
        self.faults = Faults()
        self.place = FaultyPlace(FolderPlace(root / "far"), self.faults, proof="proved")

    def here(self) -> None:
        """What follows happens on this machine."""
        me = Owner(os.getpid(), 1.0, f"boot of {self.name}", self.name)
        self._patch.setattr(Owner, "me", classmethod(lambda cls: me))

    def begin(self, *, take_over: bool = False, above: int = 0, settle_s: float = 0.0) -> None:
        self.here()
        fetch_from_mirror(self.place, self.path, ME, take_over=take_over)
        self.store = Store.open(self.path, ME, take_over=take_over, above=above, clock=self.clock)
        self.mirror = Mirror(
            self.store, self.place, workers=self.workers, bus=self.bus, every_s=0.01, take_over=take_over, settle_s=settle_s
        )

    def commit(self, text: str) -> bool:
        self.here()
        self.newest = self.store.commit(draft(text, os.urandom(30_000))).id
        return self.mirror.flush(10)

    @property
    def durable(self) -> list[str]:
        return [event.commit for event in self.events if isinstance(event, SnapshotDurable)]

    def end(self) -> None:
        self.faults.heal()
        self.here()
        self.mirror.close(2)
        self.store.close()
        self.workers.stop()


Two = tuple[Machine, Machine]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    monkeypatch.setattr(sending, "RETRY_S", 0.05)
    machines = Machine(tmp_path, "one", monkeypatch), Machine(tmp_path, "two", monkeypatch, hours=-7)
    yield machines
    for machine in machines:
        if hasattr(machine, "store"):
            machine.end()


def newest(place: FolderPlace, root: Path) -> bytes:
    local = root / f"look-{len(list(root.iterdir()))}"
    assert fetch_from_mirror(place, local, ME)
    loaded, _ = Store.view(local).newest()
    assert loaded is not None
    return loaded.parts["graph"]


def test_a_holder_that_shows_life_is_named_and_the_second_refused(two: Two) -> None:
    one, second = two
    one.begin()
    one.commit("a")
    second.here()
    watch = Watch(second.place, "sweep", now=50.0)
    assert watch.lease is not None and watch.left(55.0) == 85.0
    holders.beat(one.place, one.store.lease_name or "")
    with pytest.raises(StoreInUse, match=r"host 'one', process \d+.*since.*--take-over"):
        watch.left(60.0)


def test_a_holder_that_shows_none_is_waited_for_90_seconds_by_the_own_clock_alone(two: Two) -> None:
    one, second = two
    one.begin()
    one.commit("a")
    second.here()
    watch = Watch(second.place, "sweep", now=1e9)
    assert watch.left(1e9 + 89) == pytest.approx(1.0)
    assert watch.left(1e9 + 90) == 0.0


def test_a_lease_that_was_given_back_is_free_at_once(two: Two) -> None:
    one, second = two
    one.begin()
    one.commit("a")
    one.mirror.close(5)
    second.here()
    assert Watch(second.place, "sweep", 0.0).lease is None
    assert not list((one.path.parent / "far" / "leases").glob("*.beat"))


def test_a_lease_is_not_given_back_while_a_removal_may_be_on_its_way(two: Two) -> None:
    one, second = two
    one.begin()
    assert one.commit("a") and one.commit("b")
    one.faults.hang("remove")
    one.commit("c")
    one.mirror.close(0.5)
    second.here()
    assert Watch(second.place, "sweep", 0.0).lease is not None


def test_a_dead_process_of_this_machine_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Owner.me()
    monkeypatch.setattr(Owner, "me", classmethod(lambda cls: replace(real, pid=2**22 + 1)))
    store = Store.open(tmp_path / "local", ME)
    mirror = Mirror(store, tmp_path / "far", workers=(workers := Workers()), every_s=0.01)
    store.commit(draft("a"))
    assert mirror.flush(10)
    monkeypatch.setattr(Owner, "me", classmethod(lambda cls: real))
    assert socket.gethostname() == real.host
    assert Watch(FolderPlace(tmp_path / "far"), "sweep", 0.0).lease is None
    workers.stop()


@pytest.mark.parametrize("order", ["the older clock first", "the newer clock first"])
def test_what_the_older_writer_does_after_a_take_over_is_never_read(two: Two, order: str) -> None:
    one, second = two if order == "the older clock first" else two[::-1]
    far = FolderPlace(one.path.parent / "far")
    one.begin()
    assert one.commit("first")
    second.begin(take_over=True)
    assert second.commit("theirs")
    for number in range(3):
        assert not one.commit(f"late {number}")
    assert "has taken over" in one.mirror.status.reason and second.name in one.mirror.status.reason
    assert one.newest not in one.durable
    # even its files, should they come through, count for nothing
    for part in ("packs", "commits"):
        for path in (one.path / part).iterdir():
            far.send(path, f"{part}/{path.name}")
    assert newest(far, one.path.parent) == b"theirs"


def test_a_removal_of_the_older_writer_that_wakes_after_a_take_over_harms_no_durable_commit(two: Two) -> None:
    one, second = two
    far = FolderPlace(one.path.parent / "far")
    one.begin()
    assert one.commit("a") and one.commit("b")
    entered, go = threading.Event(), threading.Event()

    def wait(name: str) -> None:
        entered.set()
        go.wait(10)

    one.faults.call("remove", wait, match="packs/*", times=1)
    one.here()
    one.store.commit(draft("c", os.urandom(30_000)))
    one.mirror.nudge()
    assert entered.wait(10)
    second.begin(take_over=True, settle_s=holders.DEAD_S)
    second.mirror._clock = second.clock
    second.mirror._durable_from = second.clock.monotonic() + holders.DEAD_S
    assert second.commit("theirs")
    assert second.durable == [], "what the older one still removes is not known yet"
    go.set()
    second.clock.advance(holders.DEAD_S + 1)
    assert second.mirror.flush(10)
    assert second.newest in second.durable
    assert newest(far, one.path.parent) == b"theirs"


def test_the_older_writer_removes_nothing_of_the_new_ones(two: Two) -> None:
    """Also where it looked at the leases before, and takes the new one's files for its own."""
    one, second = two
    one.begin()
    assert one.commit("a")
    far = one.path.parent / "far"
    second.begin(take_over=True)
    assert second.commit("theirs")
    before = {path.name for path in (far / "packs").iterdir()}
    one.here()
    copies = one.mirror._copies
    copies.listed = {f"packs/{name}": 1 for name in before}
    copies.mine |= copies.listed.keys()
    with pytest.raises(ForeignStore, match="has taken over"):
        copies.tidy(set(), Call())
    assert {path.name for path in (far / "packs").iterdir()} == before


def test_a_file_that_may_be_on_its_way_out_proves_nothing(two: Two) -> None:
    one, _ = two
    one.begin()
    assert one.commit("a")
    copies = one.mirror._copies
    names = [name for name in copies.receipts if name.startswith("packs/")]
    assert names and copies.proof(names) is not None
    copies.removing.add(names[0])
    assert copies.proof(names) is None
