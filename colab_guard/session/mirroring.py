"""The mirror of one guarded cell: found, tried, looked at, waited for, opened."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from colab_guard import hosts, store
from colab_guard.clock import Clock
from colab_guard.errors import MirrorUnusable
from colab_guard.events import EventBus, LeaseWaitedFor, MirrorTried, StoreMovedAside
from colab_guard.session.options import CheckpointOptions
from colab_guard.workers import Abandoned, Workers

T = TypeVar("T")
FETCH_S = 600.0
LOOK_S = 60.0
WAIT_LOOK_S = 5.0
"""How often another machine's heartbeat is looked for."""


def place_at(found: hosts.MirrorPlace) -> store.Place:
    """The place behind what `--to` names."""
    if found.url is not None:
        return store.UrlPlace(found.url)
    assert found.folder is not None
    return store.FolderPlace(found.folder, found.proof, store.Traits(keeps_deleted=found.drive))


@dataclass
class Mirroring:
    """What `--to` names, for the cell `name`."""

    name: str
    options: CheckpointOptions
    workers: Workers
    bus: EventBus
    clock: Clock
    place: store.Place
    settle_s: float = 0.0
    tried: store.Tried | None = None
    replaces: bool = False
    """The store is to be put in the place of what the mirror holds."""
    fetched: set[str] = field(default_factory=set)
    """Commits that came from there."""

    @classmethod
    def at(cls, name: str, options: CheckpointOptions, workers: Workers, bus: EventBus, clock: Clock) -> Mirroring | None:
        """None without `--to`; MirrorUnusable in one line where the place cannot be used."""
        if options.to is None:
            return None
        where = options.to
        if where == "drive" and not _in_time(workers, where, "look", hosts.drive_is_mounted, LOOK_S):
            hosts.mounted_drive()  # asks the page, and a person who takes the time they need
        found = _in_time(workers, where, "find", lambda: hosts.mirror_place(where, name), LOOK_S)
        place = _in_time(workers, where, "open", lambda: place_at(found), LOOK_S)
        return cls(name, options, workers, bus, clock, place)

    def try_it(self) -> None:
        """Send a file and read it back; say what was found."""
        where = self.options.to or ""
        try:
            tried = store.limited(self.workers, "try", lambda call: store.try_place(self.place, where, call), LOOK_S)
        except Abandoned:
            raise _silent(where, LOOK_S) from None
        self.tried = tried
        self.bus.post(
            MirrorTried(name=self.name, where=where, seconds=tried.seconds, free_bytes=tried.free_bytes, proof=tried.proof)
        )

    def look(self, local: Path, identity: store.Identity) -> int:
        """Bring what a lost or older local store lacks; the generation to be above where the mirror is replaced.

        Another machine that holds the mirror is waited for meanwhile: StoreInUse where it shows life.
        """
        options, where = self.options, self.options.to or ""
        watch = self._ask(where, lambda: store.Watch(self.place, self.name, self.clock.monotonic()), LOOK_S)
        if watch.lease is not None:
            self.settle_s = store.SETTLE_S
        above = self._fetch(where, local, identity)
        if watch.lease is not None and not options.take_over:
            self._wait(watch, where)
            above = self._fetch(where, local, identity)
        newest = self._ask(where, lambda: store.mirror_generation(self.place, identity, take_over=options.take_over), LOOK_S)
        if local.exists() and newest > store.newest_generation(local):
            # who held it then has committed nothing newer than what is here: this store goes on, above it
            self.replaces, above = True, newest
        return above

    def open(self, opened: store.Store) -> store.Mirror:
        """Begin to send."""
        return store.Mirror(
            opened,
            self.place,
            workers=self.workers,
            bus=self.bus,
            clock=self.clock,
            every_s=self.options.mirror_every_s,
            take_over=self.options.take_over or self.replaces,
            settle_s=self.settle_s,
            bytes_per_s=None if self.tried is None else self.tried.bytes_per_s,
            free_bytes=None if self.tried is None else self.tried.free_bytes,
        )

    def _fetch(self, where: str, local: Path, identity: store.Identity) -> int:
        options, gone = self.options, threading.Event()
        known = _commits(local)

        def moved(why: str, kept: Path) -> None:
            known.clear()
            self.bus.post(StoreMovedAside(name=self.name, reason=why, kept=str(kept)))

        def look() -> int:
            if not options.fresh:
                store.fetch_from_mirror(self.place, local, identity, take_over=options.take_over, gone=gone, moved=moved)
                self.fetched |= _commits(local) - known
            newest = store.mirror_generation(self.place, identity, take_over=options.take_over)
            return newest if options.fresh or options.take_over else 0

        return self._ask(where, look, FETCH_S, gone)

    def _wait(self, watch: store.Watch, where: str) -> None:
        """Until the lease is free; said once."""
        said = False
        while (left := self._ask(where, lambda: watch.left(self.clock.monotonic()), LOOK_S)) > 0:
            if not said:
                said = True
                self.bus.post(LeaseWaitedFor(name=self.name, where=where, holder=watch.holder, seconds=left))
            self.clock.wait(threading.Event(), min(left, WAIT_LOOK_S))

    def _ask(self, where: str, action: Callable[[], T], limit_s: float, gone: threading.Event | None = None) -> T:
        return _in_time(self.workers, where, "look", action, limit_s, gone)


def _commits(local: Path) -> set[str]:
    return {path.stem for path in (local / "commits").glob("*.json")}


def _in_time(
    workers: Workers, where: str, what: str, action: Callable[[], T], limit_s: float, gone: threading.Event | None = None
) -> T:
    try:
        return workers.call(f"mirror: {what}", action, limit_s)
    except Abandoned:
        if gone is not None:
            gone.set()
        raise _silent(where, limit_s) from None


def _silent(where: str, limit_s: float) -> MirrorUnusable:
    return MirrorUnusable(f"--to {where}: it did not answer within {limit_s:g} s; run the cell again, or leave --to out")
