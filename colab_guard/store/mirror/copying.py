"""The files of the mirror, as one process knows them: what is there, what is proved, what may go."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from colab_guard.errors import StoreDamaged
from colab_guard.store.disk import write_whole
from colab_guard.store.mirror.calls import Call
from colab_guard.store.mirror.catalogue import FarLeases
from colab_guard.store.mirror.folder import FolderPlace
from colab_guard.store.mirror.owners import check_holder
from colab_guard.store.mirror.place import PARTS, NotThereYet, Place, Receipt, intact, pieces
from colab_guard.store.packs import PACK_NAME
from colab_guard.store.records import RECORD_NAME
from colab_guard.store.writer import Store

ORPHAN_S = 3600.0
"""A file there that nobody here ever had is removed when it was seen for so long: a killed writer's, not a new one's."""
AWAIT_S = 60.0
"""For so long a file that was sent may stay unseen before it is sent again."""
OWN_NAMES = {"packs": PACK_NAME, "commits": RECORD_NAME}
"""What a store has in these folders: whatever else lies there is somebody else's, and stays."""
LEASE_FRESH_S = 10.0
"""Before each removal the leases have been looked at within so many seconds."""


class DamagedHere(StoreDamaged):
    """A file of the local store is not what its name says."""


class GoneHere(StoreDamaged):
    """A file of the local store is there no more: it was collected, since the disk is full, before it was sent."""


@dataclass
class Copies:
    """What `place` holds of `store`. Used by one call at a time."""

    store: Store
    place: Place
    leases: FarLeases
    take_over: bool = False
    receipts: dict[str, Receipt | None] = field(default_factory=dict)
    """Files that were sent, or found to be as they should, with what the far side proved of each."""
    listed: dict[str, int] = field(default_factory=dict)
    removing: set[str] = field(default_factory=set)
    """Files whose removal has begun and has not come back."""
    awaited: dict[str, float] = field(default_factory=dict)
    """Files that were sent and not seen since, by when that was."""
    mine: set[str] = field(default_factory=set)
    """Files that this machine had or has: these alone are removed without delay."""
    unread: frozenset[str] = frozenset()
    """Files that may belong to what could not be read: they are not tidied away unless this machine has them."""
    _strange: dict[str, float] = field(default_factory=dict)

    def look(self, call: Call) -> None:
        """What is there now. Receipts of what is gone are gone."""
        listed = {}
        for part in PARTS:
            call.moved()
            listed.update({f"{part}/{name}": size for name, size in self.place.names(part).items()})
        call.moved()
        self.listed = listed
        self.receipts = {name: proof for name, proof in self.receipts.items() if name == "FORMAT" or name in self.listed}

    def bring(self, name: str, call: Call) -> int:
        """Send a file unless it is there; what this process meets for the first time is read, not believed."""
        source = self.store.path / name
        try:
            size = source.stat().st_size
        except FileNotFoundError:
            raise GoneHere(f"{name} is no longer on this machine's disk; what is there now is sent next") from None
        self.mine.add(name)
        there = self.place.size(name) if name == "FORMAT" else self.listed.get(name)
        if there is None and name in self.awaited:
            there = self._seen_at_last(name)
        if name in self.receipts and there == size:
            return 0
        self._check_here(source, name, call)
        size = source.stat().st_size
        if there == size and self._as_it_should_be(source, name, call):
            return 0
        call.moved()
        self._send(source, name, call)
        return size

    def _check_here(self, source: Path, name: str, call: Call) -> None:
        """What is damaged on this machine is sent nowhere: it is brought back from there if it is whole there, else said."""
        if intact(FolderPlace(self.store.path), name, source, call.moved):
            return
        if not intact(self.place, name, moved=call.moved):
            raise DamagedHere(f"{name} is damaged on this machine's disk, and the mirror has no whole one; colab-guard verify tells more")
        write_whole(source, pieces(self.place, name, call.moved))

    def _seen_at_last(self, name: str) -> int | None:
        """What was sent a moment ago and is not seen is not sent again at once: places show files late."""
        size = self.place.size(name)
        if size is None and time.monotonic() - self.awaited[name] < AWAIT_S:
            raise NotThereYet(f"{name} was sent, and is not there yet")
        return size

    def _as_it_should_be(self, source: Path, name: str, call: Call) -> bool:
        """Whether what is there is `source`: by the far side's checksum, else by reading it."""
        try:
            receipt = self.place.receipt(source, name, call.moved)
        except StoreDamaged:
            return False
        if (receipt is None or not receipt.by_content) and not intact(self.place, name, source, call.moved):
            return False
        call.moved()
        self.receipts[name] = receipt
        return True

    def _send(self, source: Path, name: str, call: Call) -> None:
        """After it was sent it is read back, unless the far side named a checksum; a wrong one is sent again."""
        self.receipts.pop(name, None)
        self.awaited.pop(name, None)
        try:
            receipt = self.place.send(source, name, call.moved)
            if self.place.size(name) is None:
                raise NotThereYet(f"{name} was sent, and is not there yet")
        except NotThereYet:
            self.awaited[name] = time.monotonic()
            raise
        if (receipt is None or not receipt.by_content) and not intact(self.place, name, source, call.moved):
            call.moved()
            self.place.remove(name)
            raise StoreDamaged(f"{name} did not arrive whole")
        call.moved()
        self.receipts[name] = receipt
        self.listed[name] = source.stat().st_size

    def complete(self, names: Iterable[str]) -> bool:
        """Whether all these files are known to be there, as they should be."""
        return all(name in self.receipts and name not in self.removing for name in names)

    def proof(self, names: Iterable[str]) -> str | None:
        """The receipt of all these files in words; None where one has none, or may be on its way out."""
        proofs = set()
        for name in names:
            receipt = self.receipts.get(name)
            if receipt is None or name in self.removing:
                return None
            proofs.add(receipt.proof if receipt.by_content else f"{receipt.proof}; read back equal")
        return " and ".join(sorted(proofs))

    def tidy(self, kept: set[str], call: Call) -> None:
        """Remove there what is not kept here, if it was this machine's, or has been nobody's for long.

        The lease is looked at first: another machine may have taken over meanwhile, and what is there is its own then.
        """
        now = time.monotonic()
        spare = [name for name in self.listed if name not in kept | (self.unread - self.mine) and _is_own(name)]
        self._strange = {name: self._strange.get(name, now) for name in spare if name not in self.mine}
        looked = -LEASE_FRESH_S
        for name in sorted(spare):  # records go before packs
            if name not in self.mine and now - self._strange[name] < ORPHAN_S:
                continue
            if time.monotonic() - looked >= LEASE_FRESH_S:
                looked = time.monotonic()
                check_holder(self.place, self.leases.look(), self.store, take_over=self.take_over)
            call.moved()
            self.removing.add(name)
            self.receipts.pop(name, None)
            try:
                self.place.remove(name)
            finally:  # not reached while it hangs
                self.removing.discard(name)
            call.moved()
            self.listed.pop(name, None)


def _is_own(name: str) -> bool:
    part, _, file = name.partition("/")
    return part in OWN_NAMES and OWN_NAMES[part].fullmatch(file) is not None
