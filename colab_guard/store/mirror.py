"""A second store in a folder elsewhere (Drive's mount, or any), written in the background.

Files are immutable and named by their content, so that mirroring is: send what is not there yet, packs first, then the
commit record; then remove what the retention of the local store let go. Nothing depends on rename there: a torn file
fails its checksum and does not count. Every call into the folder is limited in time and left behind if it hangs; should
it wake, it stops before it changes anything. Errors degrade the mirror, which is shown, never training. It catches up
when the folder answers again.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from colab_guard.clock import Clock
from colab_guard.errors import StoreDamaged
from colab_guard.events import EventBus, MirrorChanged, SnapshotDurable, SnapshotSent
from colab_guard.store import disk
from colab_guard.store.index import state_packs
from colab_guard.store.packs import digest, verify_pack
from colab_guard.store.remote import check_place, claim, intact
from colab_guard.store.types import CommitRecord
from colab_guard.store.view import packs_needed, unit_packs
from colab_guard.store.writer import Store
from colab_guard.workers import Abandoned, Workers

CALL_LIMIT_S = 120.0
RETRY_S = 15.0
LOOK_S = 0.1
PIECE_BYTES = 4 * 2**20
_this_call = threading.local()
_numbers = itertools.count()
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
        take_over: bool = False,
    ) -> None:
        self._store = store
        self._folder = folder
        self._workers = workers
        self._bus = bus
        self._clock: Clock = clock or workers.clock
        self._every_s = every_s
        self._proof = durable_proof
        self._wake = threading.Event()
        self._take_over = take_over
        self._hurry = threading.Event()
        self._turned = threading.Condition()
        self._asked = self._answered = self._sent = 0
        """Numbers of nudges: asked for, looked after (sent or failed), sent."""
        self._met: set[str] = set()
        """Files there that this process sent, or found to be as they should."""
        self._closing = False
        self.status = MirrorStatus()
        self._worker = workers.start("mirror", self._loop)

    def nudge(self) -> None:
        """A commit was saved: send it when the schedule allows."""
        with self._turned:
            self._asked += 1
        self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Send all that is saved now, without waiting for the schedule; say whether it is sent."""
        self.nudge()
        self._hurry.set()
        with self._turned:
            asked = self._asked
            self._turned.wait_for(lambda: self._answered >= asked, timeout_s)
            return self._sent >= asked

    def close(self, timeout_s: float) -> None:
        """Send what is left, for at most `timeout_s` seconds, and end."""
        self._closing = True
        self.flush(timeout_s)
        self._worker.stopping.set()
        self._wake.set()
        self._hurry.set()
        self._workers.stop_one(self._worker, 1.0)
        self._change(replace(self.status, state="off"))

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
        try:
            with self._store.sending() as (whole, units):
                self._send(whole, units)
            self._sent = asked
        except Exception as error:  # the one place where the mirror's errors end: degraded, shown, tried again
            self._change(replace(self.status, state="degraded", reason=f"{type(error).__name__}: {error}"))
            self._wake.set()
            return 0.0 if self._closing else RETRY_S
        spent = self._clock.monotonic() - began
        return self._every_s if self._every_s is not None else spent * (1 / SHARE_OF_TIME - 1)

    def _send(self, whole: list[CommitRecord], units: list[CommitRecord]) -> None:
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
        if not self._store.careful:
            self._call("tidy", lambda: self._tidy(whole, units))

    def _prepare(self) -> int:
        check_place(self._folder, self._store, take_over=self._take_over)
        for part in ("packs", "commits", "leases"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        sent = self._bring("FORMAT")
        for path in sorted((self._store.path / "leases").glob("*.json")):
            sent += self._bring(f"leases/{path.name}")
        claim(self._folder, self._store, take_over=self._take_over)
        return sent

    def _copy_of(self, name: str) -> Callable[[], int]:
        return lambda: self._bring(name)

    def _bring(self, name: str) -> int:
        """Send a file unless it is there; what this process meets for the first time is read, not believed."""
        source, target = self._store.path / name, self._folder / name
        if name in self._met and target.exists() and _same_size(source, target):
            return 0
        if not intact(target, source):
            sent = _copy(source, target)
        else:
            sent = 0
        self._met.add(name)
        return sent

    def _tidy(self, whole: Iterable[CommitRecord], units: Iterable[CommitRecord]) -> None:
        """Remove there what is not kept here."""
        records = {f"{record.id}.json" for record in [*whole, *units]}
        kept = records | {f"{name}.pack" for name in packs_needed(whole, units)}
        for part in ("commits", "packs"):
            for path in (self._folder / part).iterdir():
                if path.name not in kept:
                    _go_on()
                    self._met.discard(f"{part}/{path.name}")
                    path.unlink(missing_ok=True)

    def _call(self, what: str, action: Callable[[], Any]) -> Any:
        gone = threading.Event()

        def limited() -> Any:
            _this_call.gone = gone
            return action()

        try:
            return self._workers.call(f"mirror: {what}", limited, CALL_LIMIT_S)
        except Abandoned:
            gone.set()
            raise

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
    """Send a file; the number of bytes. It appears under its name whole, as far as the place has a rename."""
    try:
        size = source.stat().st_size
    except FileNotFoundError:
        return 0  # collected meanwhile: a newer commit follows
    temporary = target.with_name(f"{disk.TEMPORARY}{os.getpid()}-{next(_numbers)}-{target.name}")
    try:
        with source.open("rb") as reading, temporary.open("wb") as writing:
            while piece := reading.read(PIECE_BYTES):
                _go_on()
                writing.write(piece)
            writing.flush()
            os.fsync(writing.fileno())
        _go_on()
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return size


def _go_on() -> None:
    """Stop a call that was given up waiting for: what it was to do may be wrong by now."""
    gone: threading.Event | None = getattr(_this_call, "gone", None)
    if gone is not None and gone.is_set():
        raise Abandoned("the call was left behind")


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
            _go_on()
            (folder / "packs" / f"{pack}.pack").unlink(missing_ok=True)
            raise


def _same_size(source: Path, target: Path) -> bool:
    return not source.exists() or source.stat().st_size == target.stat().st_size
