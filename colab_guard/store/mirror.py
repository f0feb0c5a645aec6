"""A second store in a folder elsewhere (Drive's mount, or any), written in the background.

Files are immutable and named by their content, so that mirroring is: send what is not there yet, packs first, then the
commit record; then remove what the retention of the local store let go. Nothing depends on rename there: a torn file
fails its checksum and does not count. Every call into the folder is limited in time and left behind if it hangs;
errors degrade the mirror, which is shown, never training. It catches up when the folder answers again.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from colab_guard.clock import Clock
from colab_guard.errors import ForeignStore, StoreDamaged
from colab_guard.events import EventBus, MirrorChanged, SnapshotDurable, SnapshotSent
from colab_guard.store import disk
from colab_guard.store.packs import digest, verify_pack
from colab_guard.store.types import CommitRecord, Identity
from colab_guard.store.view import StoreView, state_packs, unit_packs
from colab_guard.store.writer import Store
from colab_guard.workers import Workers

CALL_LIMIT_S = 120.0
RETRY_S = 15.0
PIECE_BYTES = 4 * 2**20
SHARE_OF_TIME = 0.5
"""At most this share of the time is spent sending, where no schedule is asked for."""


@dataclass(frozen=True, slots=True)
class MirrorStatus:
    """The mirror now. `state`: "ok", "catching up", "degraded" (see `reason`) or "off"; times since the epoch."""

    state: str = "catching up"
    reason: str = ""
    last_sent_commit: str | None = None
    last_sent_at: float | None = None
    durable_commit: str | None = None
    durable_at: float | None = None
    lag_s: float | None = None
    bytes_sent: int = 0
    bytes_per_s: float | None = None


class Mirror:
    """Keeps `folder` a copy of `store`, as far behind as the place is slow. `nudge` says that a commit was saved."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        *,
        workers: Workers,
        bus: EventBus | None = None,
        clock: Clock | None = None,
        every_s: float | None = None,
        durable_proof: str | None = None,
    ) -> None:
        self._store = store
        self._folder = folder
        self._workers = workers
        self._bus = bus
        self._clock: Clock = clock or workers.clock
        self._every_s = every_s
        self._proof = durable_proof
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._closing = False
        self.status = MirrorStatus()
        self._worker = workers.start("mirror", self._loop)

    def nudge(self) -> None:
        """A commit was saved: send it when the schedule allows."""
        self._idle.clear()
        self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that is saved is sent; say whether it is."""
        self.nudge()
        return self._idle.wait(timeout_s) and self.status.state == "ok"

    def close(self, timeout_s: float) -> None:
        """Send what is left, for at most `timeout_s` seconds, and end."""
        self._closing = True
        self.flush(timeout_s)
        self._worker.stopping.set()
        self._wake.set()
        self._workers.stop_one(self._worker, 1.0)
        self._change(replace(self.status, state="off"))

    # the thread

    def _loop(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._clock.wait(self._wake, 3600.0)
            self._wake.clear()
            if stopping.is_set():
                return
            began = self._clock.monotonic()
            pause = self._turn(began)
            self._idle.set()
            if not self._closing and pause > 0:
                self._clock.wait(stopping, pause)

    def _turn(self, began: float) -> float:
        """Send what is missing; the seconds to wait before the next turn."""
        try:
            self._send()
        except Exception as error:  # the one place where the mirror's errors end: degraded, shown, tried again
            self._change(replace(self.status, state="degraded", reason=f"{type(error).__name__}: {error}"))
            self._wake.set()
            return 0.0 if self._closing else RETRY_S
        spent = self._clock.monotonic() - began
        return self._every_s if self._every_s is not None else spent * (1 / SHARE_OF_TIME - 1)

    def _send(self) -> None:
        whole, units = self._store.retained()
        if not whole:
            self._change(replace(self.status, state="ok", reason=""))
            return
        newest = max(whole, key=lambda record: (record.generation, record.seq))
        began = self._clock.monotonic()
        sent = self._call("prepare", self._prepare)
        for record in sorted({r.id: r for r in [*units, *whole]}.values(), key=lambda r: r.seq):
            packs = unit_packs(record) | (state_packs(record) if record in whole else set())
            for pack in sorted(packs):
                sent += self._call("send a pack", self._copy_of(f"packs/{pack}.pack"))
            self._call("send a commit record", self._copy_of(f"commits/{record.id}.json"))
        self._call("check", lambda: _check(self._folder, newest))
        self._note_sent(newest, sent, self._clock.monotonic() - began)
        self._call("tidy", lambda: self._tidy(whole, units))

    def _prepare(self) -> int:
        sent = 0
        for part in ("packs", "commits", "leases"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        if (self._folder / "FORMAT").exists():
            theirs = StoreView(self._folder).leases
            if theirs and theirs[-1].generation > self._store.generation:
                raise ForeignStore(f"another machine has taken over the mirror (generation {theirs[-1].generation})")
        sent += _copy(self._store.path / "FORMAT", self._folder / "FORMAT")
        for path in sorted((self._store.path / "leases").glob("*.json")):
            sent += _copy(path, self._folder / "leases" / path.name)
        return sent

    def _copy_of(self, name: str) -> Callable[[], int]:
        return lambda: _copy(self._store.path / name, self._folder / name)

    def _tidy(self, whole: Iterable[CommitRecord], units: Iterable[CommitRecord]) -> None:
        """Remove there what is not kept here."""
        records = {f"{record.id}.json" for record in [*whole, *units]}
        packs = set().union(*(state_packs(r) for r in whole), *(unit_packs(r) for r in [*whole, *units]))
        for path in (self._folder / "commits").glob("*.json"):
            if path.name not in records:
                path.unlink(missing_ok=True)
        for path in (self._folder / "packs").glob("*.pack"):
            if path.name.removesuffix(".pack") not in packs:
                path.unlink(missing_ok=True)

    def _call(self, what: str, action: Callable[[], Any]) -> Any:
        return self._workers.call(f"mirror: {what}", action, CALL_LIMIT_S)

    def _note_sent(self, record: CommitRecord, sent: int, seconds: float) -> None:
        now = self._clock.time()
        status = replace(
            self.status,
            state="ok",
            reason="",
            last_sent_commit=record.id,
            last_sent_at=now,
            lag_s=now - record.created,
            bytes_sent=self.status.bytes_sent + sent,
            bytes_per_s=sent / seconds if sent and seconds > 0 else self.status.bytes_per_s,
        )
        name = self._store.identity.name
        if record.id != self.status.last_sent_commit and self._bus is not None:
            if self._proof is None:
                self._bus.post(SnapshotSent(name=name, commit=record.id, where=str(self._folder)))
            else:
                receipt = f"{self._proof}; read back equal"
                self._bus.post(
                    SnapshotDurable(name=name, commit=record.id, where=str(self._folder), receipt=receipt)
                )
                status = replace(status, durable_commit=record.id, durable_at=now)
        self._change(status)

    def _change(self, status: MirrorStatus) -> None:
        changed = (status.state, status.reason) != (self.status.state, self.status.reason)
        self.status = status
        if changed and self._bus is not None:
            name = self._store.identity.name
            self._bus.post(MirrorChanged(name=name, state=status.state, reason=status.reason, lag_s=status.lag_s))


def _copy(source: Path, target: Path) -> int:
    """Copy a file unless one of the same size is there already; the number of bytes sent."""
    try:
        size = source.stat().st_size
    except FileNotFoundError:
        return 0  # collected meanwhile: a newer commit follows
    if target.exists() and target.stat().st_size == size:
        return 0
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing, PIECE_BYTES)
        writing.flush()
        os.fsync(writing.fileno())
    return size


def _check(folder: Path, record: CommitRecord) -> None:
    """Read back what the newest commit needs; a file that is not as it was written is removed, to be sent again."""
    path = folder / "commits" / f"{record.id}.json"
    if digest(path.read_bytes())[:32] != record.id[-32:]:
        path.unlink(missing_ok=True)
        raise StoreDamaged("the commit record did not arrive whole")
    for pack in state_packs(record) | unit_packs(record):
        try:
            verify_pack(folder / "packs" / f"{pack}.pack")
        except StoreDamaged:
            (folder / "packs" / f"{pack}.pack").unlink(missing_ok=True)
            raise


def fetch_from_mirror(folder: Path, local: Path, identity: Identity) -> bool:
    """Bring the mirror's store to a machine whose local one is lost or older; say whether anything was brought."""
    if not (folder / "FORMAT").exists():
        return False
    there = StoreView(folder)
    records = there.commits()
    if not records or _newest_place(local) >= _place(records[0]):
        return False
    for part in ("packs", "commits", "leases"):
        disk.make_folder(local / part)
    names = ["FORMAT"]
    names += [f"leases/{path.name}" for path in (folder / "leases").glob("*.json")]
    needed = set().union(*(state_packs(r) | unit_packs(r) for r in records))
    names += [f"packs/{name}.pack" for name in sorted(needed)]
    names += [f"commits/{record.id}.json" for record in reversed(records)]
    for name in names:
        source, target = folder / name, local / name
        if source.exists() and not target.exists():
            disk.write_whole(target, _pieces(source))
    return True


def _pieces(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _newest_place(path: Path) -> tuple[int, int]:
    if not (path / "FORMAT").exists():
        return (-1, -1)
    records = StoreView(path).commits()
    return _place(records[0]) if records else (-1, -1)


def _place(record: CommitRecord) -> tuple[int, int]:
    return record.generation, record.seq
