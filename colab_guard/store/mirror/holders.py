"""Who holds a mirror's lease, seen from another machine: does its heartbeat change?

A holder rewrites the file beside its lease every `BEAT_S` seconds. Whoever comes second watches that file, and the commits,
by the clock of its own machine alone: two clocks are never compared. Changed once: the holder lives. Unchanged for `DEAD_S`:
the lease is free. (Where a place cannot be written so often nobody knows, and the user has to say so.) One that was given
back is free at once, and so is one of this machine whose process is gone.
"""

from __future__ import annotations

import os
import secrets
import time

from colab_guard.errors import StoreInUse
from colab_guard.store.leases import Lease
from colab_guard.store.mirror.catalogue import BEAT, FarLeases
from colab_guard.store.mirror.place import Place

BEAT_S = 20.0
DEAD_S = 90.0


def beat(place: Place, stem: str) -> None:
    """A sign of life beside the lease `stem`."""
    place.write(f"leases/{stem}{BEAT}", f"{secrets.token_hex(8)}\n".encode())


class Watch:
    """The first look at a mirror's holder; `free` looks again."""

    def __init__(self, place: Place, name: str, now: float) -> None:
        self._place, self._name = place, name
        self._since = now
        self._leases = FarLeases(place).look()
        self.lease = self._foreign()
        self._first = self._signs()

    @property
    def holder(self) -> str:
        """Who holds it, in words."""
        assert self.lease is not None
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.lease.created))
        return f"host {self.lease.owner.host!r}, process {self.lease.owner.pid}, by its clock since {since}"

    def left(self, now: float) -> float:
        """Seconds until the lease is free, if its holder shows no life; 0 where it is. StoreInUse where it lives."""
        if self.lease is None:
            return 0.0
        self._leases = self._leases.look()
        if self._foreign() is None:
            return 0.0
        if self._signs() != self._first:
            who = "another process of this machine" if self.lease.owner.is_here else "another machine"
            raise StoreInUse(
                f"the mirror of {self._name!r} ({self._place.name}) is being written by {who} ({self.holder}); stop it, "
                "use another NAME, or --take-over"
            )
        if not self._place.traits.beats:
            raise StoreInUse(
                f"the mirror of {self._name!r} ({self._place.name}) was not given back by {self.holder}, and a place of this kind shows "
                "no signs of life; if that one is gone, --take-over, else use another NAME"
            )
        return max(0.0, self._since + DEAD_S - now)

    def _foreign(self) -> Lease | None:
        """The newest lease, unless it is free, or of a process of this machine (of which the local store knows more)."""
        newest = self._leases.newest
        if newest is None or newest.released:
            return None
        if newest.owner.is_here and (newest.owner.pid == os.getpid() or not newest.owner.lives()):
            return None
        return newest

    def _signs(self) -> tuple[set[str], bytes]:
        """What a living holder changes: the leases and commits there are, and its heartbeat."""
        if self.lease is None:
            return set(), b""
        there = {*self._leases.names, *self._place.names("commits")}
        try:
            return there, self._place.read(f"leases/{self._leases.stem_of(self.lease)}{BEAT}")
        except FileNotFoundError:
            return there, b""
