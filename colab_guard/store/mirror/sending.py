"""A second store elsewhere, written in the background.

Files are immutable and named by their content, so that mirroring is: send what is not there yet, packs first, then the
commit record; then remove what the retention of the local store let go. Nothing depends on rename there: a torn file
fails its checksum and does not count. Every call into the place is limited in time and left behind if it hangs; should
it wake, it stops before it changes anything. Errors degrade the mirror, which is shown, never training. It catches up
when the place answers again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Set
from operator import attrgetter
from pathlib import Path

from colab_guard.clock import Clock
from colab_guard.events import EventBus
from colab_guard.store.disk import NO_SPACE
from colab_guard.store.index import state_packs
from colab_guard.store.leases import RELEASED, mark_line
from colab_guard.store.mirror import calls, holders
from colab_guard.store.mirror.catalogue import BEAT, FarLeases
from colab_guard.store.mirror.copying import Copies, DamagedHere, GoneHere
from colab_guard.store.mirror.folder import FolderPlace
from colab_guard.store.mirror.owners import check_place, claim
from colab_guard.store.mirror.place import PARTS, Place
from colab_guard.store.mirror.schedule import pause_s
from colab_guard.store.mirror.status import MirrorStatus, speed
from colab_guard.store.mirror.told import Told
from colab_guard.store.types import CommitRecord
from colab_guard.store.view import packs_needed, unit_packs
from colab_guard.store.writer import Store
from colab_guard.workers import Abandoned, Workers

RETRY_S = 15.0
LEAST_RETRY_S = 1.0
LOOK_S = 0.1
RELEASE_LIMIT_S = 5.0
SETTLE_S = holders.DEAD_S
"""After a lease was taken from one who may live, nothing is called durable for so long: a removal of the other's may still
be on its way. What is needed is looked up again at each turn."""


class Mirror:
    """Keeps `place` a copy of `store`, as far behind as the place is slow. `nudge` says that a commit was saved."""

    def __init__(
        self,
        store: Store,
        place: Place | Path,
        *,
        workers: Workers,
        bus: EventBus | None = None,
        clock: Clock | None = None,
        every_s: float | None = None,
        take_over: bool = False,
        settle_s: float = 0.0,
        bytes_per_s: float | None = None,
        free_bytes: int | None = None,
        unread: frozenset[str] = frozenset(),
    ) -> None:
        self._store = store
        self._place: Place = FolderPlace(place) if isinstance(place, Path) else place
        self._workers = workers
        self._calls = calls.Calls(workers)
        self._clock: Clock = clock or workers.clock
        self._every_s = every_s
        self._take_over = take_over
        self._durable_from = self._clock.monotonic() + settle_s
        self._unsettled = False
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._turned = threading.Condition()
        self._behind_since: float | None = None
        self._asked = self._answered = self._sent = 0
        """Numbers of nudges: asked for, looked after (sent or failed), sent."""
        self._copies = Copies(store, self._place, FarLeases(self._place), take_over, unread=unread)
        self._copies.mine = {f"{part}/{path.name}" for part in PARTS for path in (store.path / part).iterdir()}
        self._wanted: set[str] = set()
        """Files without which the commit that is being sent would not come back."""
        self._there: set[str] = set()
        """Those of the one that was sent last."""
        self._claimed: str | None = None
        self.beats_missed = 0
        self._closing = False
        status = MirrorStatus(bytes_per_s=bytes_per_s, free_bytes=free_bytes)
        self._told = Told(store.identity.name, self._place.name, bus, status)
        self._worker = workers.start("mirror", self._loop)
        self._beats = workers.periodic("mirror: beat", holders.BEAT_S, self._beat) if self._place.traits.beats else None

    @property
    def status(self) -> MirrorStatus:
        """The mirror now."""
        return self._told.status

    @property
    def unsettled(self) -> bool:
        """Whether what was sent last is only not called durable yet, since the lease was taken from one who may live."""
        return self._unsettled

    def nudge(self) -> None:
        """A commit was saved: send it when the schedule allows."""
        with self._turned:
            self._asked += 1
            if self._behind_since is None:
                self._behind_since = self._clock.monotonic()
        self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Send all that is saved now, without waiting for the schedule; say whether it is sent."""
        self.nudge()
        self._hurry.set()
        with self._turned:
            asked = self._asked
            self._turned.wait_for(lambda: self._answered >= asked, timeout_s)
            return self._sent >= asked

    def close(self, silence_s: float) -> None:
        """Send what is left, as long as that gets on at least every `silence_s` seconds; give the lease there back, and end."""
        self._closing = True
        try:
            late = "" if self._flush_while_it_gets_on(silence_s) else f"it did not get on for {silence_s:g} s after the work's end"
        except KeyboardInterrupt:  # the work has ended; whoever does not wait for this has it as it was
            late = "it was not waited for"
        if late and self.status.state != "degraded":
            reason = f"what was saved last is not there; {late}. Run the cell again to send it"
            self._told.change(state="degraded", reason=reason, lag_s=self._lag())
        self._worker.stopping.set()
        self._wake.set()
        self._hurry.set()
        ended = self._workers.stop_one(self._worker, 1.0)
        if self._beats is not None:
            self._workers.stop_one(self._beats, 1.0)
        # where something may still be on its way, the next holder is to wait
        if ended and not self._copies.removing:
            self._give_back()
        self._told.change(state="off")

    def _flush_while_it_gets_on(self, silence_s: float) -> bool:
        self.nudge()
        self._hurry.set()
        with self._turned:
            asked = self._asked
            while not self._turned.wait_for(lambda: self._answered >= asked, silence_s):
                if time.monotonic() - self._calls.moved_at >= silence_s:
                    return False
                told = "sending what was saved last; interrupt to end without it"
                self._told.change(state="catching up", reason=told, lag_s=self._lag())
            return self._sent >= asked

    # the thread

    def _loop(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._clock.wait(self._wake, 3600.0)
            self._wake.clear()
            if stopping.is_set():
                return
            self._hurry.clear()
            with self._turned:
                asked = self._asked
            pause = self._turn(self._clock.monotonic(), asked)
            with self._turned:
                self._answered = asked
                self._turned.notify_all()
            if not self._closing and pause > 0:
                self._pause(stopping, pause)

    def _pause(self, stopping: threading.Event, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while not self._hurry.is_set() and (left := until - self._clock.monotonic()) > 0:
            if self._clock.wait(stopping, min(left, LOOK_S)):
                return

    def _turn(self, began: float, asked: int) -> float:
        """Send what is missing; the seconds to wait before the next turn."""
        before = self.status.bytes_sent
        try:
            with self._store.sending() as (whole, units):
                self._send(whole, units)
            with self._turned:
                self._sent = asked
                self._behind_since = None if self._asked == asked else began
        except GoneHere as error:  # neither noted nor tidied by: the local disk was short of room, and newer commits follow
            self._degrade(error)
            return 0.0 if self._closing else min(LEAST_RETRY_S, self._retry_s)
        except Exception as error:  # the one place where the mirror's errors end: degraded, shown, tried again
            self._degrade(error)
            return 0.0 if self._closing else self._retry_s
        if self._unsettled:
            self._wake.set()
            return 0.0 if self._closing else self._retry_s
        if self._every_s is not None:
            return self._every_s
        spent = self._clock.monotonic() - began
        return pause_s(self._place.traits, spent, self.status.bytes_sent - before, self.status.free_bytes)

    def _degrade(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        self._told.change(state="degraded", reason=reason, lag_s=self._lag(), again=True)
        self._wake.set()

    @property
    def _retry_s(self) -> float:
        """Never later than the schedule would come, so that what is back is used within one interval."""
        return RETRY_S if self._every_s is None else min(RETRY_S, max(self._every_s, LEAST_RETRY_S))

    def _send(self, whole: list[CommitRecord], units: list[CommitRecord]) -> None:
        """The units' ends, then the newest commit, which is noted at once; a step before it comes last."""
        if not whole:
            self._told.change(state="ok", reason="")
            return
        newest = max(whole, key=attrgetter("place"))
        needed = self._needed(newest, units)
        self._wanted = set(needed)
        damaged = self._prepare()
        for record in sorted(units, key=attrgetter("place")):
            # no record is there before all that it needs, and no later one before a unit's end
            if record.id != newest.id:
                self._bring_commit(record, self._packs_of(record, whole), damaged)
        self._bring_commit(newest, self._packs_of(newest, whole), None)
        # only if the lease still holds now do these commits count
        self._calls.limited("look at the lease", lambda call: self._check())
        self._note_sent(newest, needed, damaged)
        self._there = set(needed)
        told = len(damaged)
        for record in sorted(whole, key=attrgetter("place")):
            self._bring_commit(record, self._packs_of(record, whole), damaged)
        if len(damaged) > told:
            self._told.change(state="degraded", reason=damaged[0])
        if not damaged and not self._store.careful and self._copies.complete(needed):
            kept = {f"commits/{record.id}.json" for record in [*whole, *units]}
            kept |= {f"packs/{name}.pack" for name in packs_needed(whole, units)}
            self._calls.limited("tidy", lambda call: self._copies.tidy(kept, call))

    @staticmethod
    def _packs_of(record: CommitRecord, whole: list[CommitRecord]) -> Set[str]:
        kept = any(record.id == other.id for other in whole)
        return unit_packs(record) | (state_packs(record) if kept else frozenset())

    def _bring_commit(self, record: CommitRecord, packs: Set[str], damaged: list[str] | None) -> None:
        """Its packs, then its record. What is damaged here is added to `damaged`, and the others are sent all the same; None: raised."""
        try:
            for name in [*(f"packs/{pack}.pack" for pack in sorted(packs)), f"commits/{record.id}.json"]:
                self._bring(name)
        except DamagedHere as error:
            if damaged is None:
                raise
            damaged.append(str(error))

    def _prepare(self) -> list[str]:
        """The leases, the own one at last; what is said of those that are damaged here and there."""
        self._calls.limited("look at the place", self._open)
        damaged = []
        for name in ["FORMAT", *(f"leases/{path.name}" for path in sorted((self._store.path / "leases").glob("*.json")))]:
            try:
                self._bring(name)
            except DamagedHere as error:
                if name == f"leases/{self._store.lease_name}.json":
                    raise
                damaged.append(str(error))
        leases = self._copies.leases
        self._calls.limited("claim", lambda call: claim(self._place, leases, self._store, take_over=self._take_over)
        )
        if self._claimed != self._store.lease_name:
            self._claimed = self._store.lease_name
            self._beat()
        return damaged

    def _open(self, call: calls.Call) -> None:
        check_place(self._place, self._copies.leases, self._store, take_over=self._take_over)
        call.moved()
        self._place.make_folders(PARTS)
        self._copies.look(call)

    def _check(self) -> None:
        check_place(self._place, self._copies.leases, self._store, take_over=self._take_over)

    def _bring(self, name: str) -> None:
        """Send a file; where the place is full, once more after room was made there."""
        try:
            self._bring_once(name)
        except OSError as error:
            if error.errno not in NO_SPACE or not self._make_room():
                raise
            self._bring_once(name)

    def _make_room(self) -> bool:
        """Remove there what neither the commit that is being sent needs nor the one that was sent last; whether that was anything."""
        if not self._there or self._store.careful or self._place.traits.keeps_deleted:
            return False
        before = set(self._copies.listed)
        self._calls.limited("make room", lambda call: self._copies.tidy(self._there | self._wanted, call))
        return before != set(self._copies.listed)

    def _bring_once(self, name: str) -> None:
        began = self._clock.monotonic()
        source = self._store.path / name
        limit = calls.silence_s(min(_size(source), self._place.traits.silent_bytes), self.status.bytes_per_s)
        try:
            sent = self._calls.limited(f"send {name[:14]}", lambda call: self._copies.bring(name, call), limit)
        except Abandoned:  # it may have become slow: the speed is measured anew
            self._told.note(bytes_per_s=None)
            raise
        took = self._clock.monotonic() - began
        self._told.note(bytes_sent=self.status.bytes_sent + sent, bytes_per_s=speed(self.status.bytes_per_s, sent, took))

    def _needed(self, newest: CommitRecord, units: list[CommitRecord]) -> list[str]:
        """All files without which the newest commit, or a unit's end, would not come back."""
        leases = [f"leases/{path.name}" for path in (self._store.path / "leases").glob("*.json")]
        packs = [f"packs/{name}.pack" for name in packs_needed([newest], units)]
        records = [f"commits/{record.id}.json" for record in [newest, *units]]
        return ["FORMAT", *leases, *packs, *records]

    # the lease

    def _beat(self) -> None:
        """A sign of life beside the own lease, if it is there; the errors of the mirror itself are told by its turns."""
        stem = self._claimed
        if stem is None or self._closing or not self._place.traits.beats:
            return
        try:
            self._calls.limited("beat", lambda call: holders.beat(self._place, stem), holders.BEAT_S)
        except Exception:  # the next beat comes by itself; what is to be said of the mirror is said by its turns
            self.beats_missed += 1

    def _give_back(self) -> None:
        stem = self._claimed
        if stem is None or self._workers.disarmed:
            return

        def give(call: calls.Call) -> None:
            self._place.write(f"leases/{stem}{RELEASED}", mark_line(stem, self._store.last_written).encode())
            call.moved()
            self._place.remove(f"leases/{stem}{BEAT}")

        try:
            self._calls.limited("give the lease back", give, RELEASE_LIMIT_S)
        except Exception as error:  # it is free to others after DEAD_S then
            self._told.change(state="degraded", reason=f"the lease was not given back: {error}")

    # what is said

    def _lag(self) -> float:
        """Seconds since the first of the commits was saved that are not there."""
        return 0.0 if self._behind_since is None else self._clock.monotonic() - self._behind_since

    def _note_sent(self, record: CommitRecord, needed: list[str], damaged: list[str]) -> None:
        proof = self._copies.proof(needed)
        self._unsettled = proof is not None and self._clock.monotonic() < self._durable_from
        self._told.sent(record, None if self._unsettled else proof, self._clock.time(), damaged[0] if damaged else "")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
