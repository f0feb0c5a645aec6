"""The mirror of one guarded cell: found, tried, looked at, waited for, opened."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from colab_guard import hosts, store
from colab_guard.clock import Clock
from colab_guard.errors import GuardError, MirrorUnusable
from colab_guard.events import CommitPassedOver, EventBus, LeaseWaitedFor, MirrorTried, StoreMovedAside
from colab_guard.session.options import CheckpointOptions
from colab_guard.workers import Abandoned, Workers

T = TypeVar("T")
FETCH_S = 120.0
"""A fetch that has not got on for so long is given up; a large one may take as long as it needs."""
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
    passed: dict[tuple[int, int], str] = field(default_factory=dict)
    """What was said of commits that could not be used, by their places."""
    _unread: frozenset[str] = frozenset()
    _apart: bool = False

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
        if self._apart or (local.exists() and newest > store.newest_generation(local)):
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
            unread=self._unread,
        )

    def said(self, step: store.PassedOver) -> bool:
        """Whether that commit was told of already."""
        return any(step.commit.startswith(f"{generation:08d}-{seq:010d}") for generation, seq in self.passed)

    def _fetch(self, where: str, local: Path, identity: store.Identity) -> int:
        options = self.options
        known = _commits(local)

        def moved(why: str, kept: Path) -> None:
            known.clear()
            self.bus.post(StoreMovedAside(name=self.name, reason=why, kept=str(kept)))

        def look(call: store.Call) -> tuple[store.Fetched, int]:
            found = store.Fetched()
            if not options.fresh:
                found = store.fetch_from_mirror(self.place, local, identity, take_over=options.take_over, call=call, moved=moved)
            newest = store.mirror_generation(self.place, identity, take_over=options.take_over)
            return found, newest if options.fresh or options.take_over else 0

        found, newest = _told(where, FETCH_S, lambda: store.limited(self.workers, "look", look, FETCH_S))
        self.fetched |= _commits(local) - known
        self._unread, self._apart = found.unread, found.apart
        for step in found.passed:
            if not self.said(step):
                self.passed[int(step.commit[:8]), int(step.commit[9:19])] = step.reason
                self.bus.post(CommitPassedOver(name=self.name, commit=step.commit, reason=step.reason))
        return newest

    def _wait(self, watch: store.Watch, where: str) -> None:
        """Until the lease is free; said once."""
        said = False
        while (left := self._ask(where, lambda: watch.left(self.clock.monotonic()), LOOK_S)) > 0:
            if not said:
                said = True
                self.bus.post(LeaseWaitedFor(name=self.name, where=where, holder=watch.holder, seconds=left))
            self.clock.wait(threading.Event(), min(left, WAIT_LOOK_S))

    def _ask(self, where: str, action: Callable[[], T], limit_s: float) -> T:
        return _in_time(self.workers, where, "look", action, limit_s)


def _commits(local: Path) -> set[str]:
    return {path.stem for path in (local / "commits").glob("*.json")}


def _in_time(workers: Workers, where: str, what: str, action: Callable[[], T], limit_s: float) -> T:
    return _told(where, limit_s, lambda: workers.call(f"mirror: {what}", action, limit_s))


def _told(where: str, limit_s: float, action: Callable[[], T]) -> T:
    """What `action` gives, which asks the mirror; one line where it does not answer, or fails."""
    try:
        return action()
    except Abandoned:
        raise _silent(where, limit_s) from None
    except GuardError:
        raise
    except OSError as error:
        raise MirrorUnusable(
            f"--to {where}: it cannot be read ({error.strerror or error}); run the cell again when it can be, or leave --to out"
        ) from error


def _silent(where: str, limit_s: float) -> MirrorUnusable:
    return MirrorUnusable(f"--to {where}: it did not answer within {limit_s:g} s; run the cell again, or leave --to out")
