"""Everything that happens, as typed values, and the bus that carries them.

Rooms that act post events; the panel, the log and the tests listen. Posting puts a value on a queue; one dispatcher
thread delivers in order. A listener that raises is reported once on the bus's `failures` and never stops training.
(It is long because it is one list, which is read as a whole: some forty small values, and the bus.)
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from colab_guard.clock import Clock, SystemClock
from colab_guard.workers import Worker, Workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events. `name` is the NAME of the guarded work that it belongs to, or "" for none."""

    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkStarted(Event):
    """Guarded work began; `where` is the mirror as the user named it, or None. `saves`: its state, at safe points."""

    where: str | None = None
    saves: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSafePoint(Event):
    """Told before a cell's first run: what has no safe point inside, and what a loss there means. One line for each."""

    places: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkEnded(Event):
    """Guarded work ended: `outcome` is "done", "failed", "stopped" or "restored".

    `guard_share` is the share of the time that passed in safe points, snapshots included.
    """

    outcome: str
    reason: str = ""
    guard_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """A commit was taken up at `position`; `depth` is the number of loops re-entered (0: a whole cell restored).

    `source`: where it lay, "local" or "mirror", from which it was fetched first.
    """

    commit: str
    position: str
    depth: int
    source: str = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedUsed(Event):
    """A resume uses committed values where this kernel has others: one line for each, with the name and what differs."""

    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotBitExact(Event):
    """What follows a resume may differ in its last bits from an uninterrupted run: `reasons` ("torch 2.12 → 2.13").

    `since` is "now", or "before" where an earlier resume of the same run was the cause.
    """

    reasons: tuple[str, ...]
    since: str = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPassedOver(Event):
    """A commit could not be used, be it the newest or an earlier unit's end; what is whole is."""

    commit: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMovedAside(Event):
    """The local store could not be read (`reason`), and the mirror's took its place; it is `kept` there, whole."""

    reason: str
    kept: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSaved(Event):
    """A snapshot is whole on the local disk. `stall_s`: training stood still; `write_s`: the writer's time.

    `age_s`: so long ago its state was captured. `units`: the keys of the units whose ends it holds beside that state.
    """

    commit: str
    kind: str
    position: str
    bytes_new: int
    bytes_total: int
    stall_s: float
    write_s: float
    age_s: float = 0.0
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceNotFreed(Event):
    """Older commits are needed no more and could not be removed: the store grows until they can."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSent(Event):
    """A commit was handed to a mirror that cannot prove that it holds it."""

    commit: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDurable(Event):
    """The far side proved that it holds the commit; `receipt` is its proof."""

    commit: str
    where: str
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotNotTaken(Event):
    """A safe point passed without a snapshot though one was due: refused (state not whole) or failed (an error)."""

    position: str
    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LongUnsaved(Event):
    """For `seconds` no snapshot was taken because safe points were `refused`; `reasons` by count, in words."""

    seconds: float
    refused: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKept(Event):
    """Something is in no snapshot: `what` (a name or a file), and `why`."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesPutBack(Event):
    """A resume has met files that differ from the commit's: `replaced` ones are kept under `where` as they were, texts
    that people edit are `left`, and the commit's version of them is under `where`/committed."""

    replaced: tuple[str, ...]
    left: tuple[str, ...]
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorChanged(Event):
    """The mirror's state: "ok", "catching up", "degraded" (with `reason`) or "off"; its measured speed."""

    state: str
    reason: str = ""
    lag_s: float | None = None
    bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorTried(Event):
    """Before the work began a file was sent to the mirror and read back. `proof`: what it can prove; "" for nothing."""

    where: str
    seconds: float
    free_bytes: int | None
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseWaitedFor(Event):
    """The mirror's lease is another machine's (`holder`), which shows no life: it is free after `seconds` more."""

    where: str
    holder: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested(Event):
    """Someone asked to stop at the next safe point, or when the unit that runs has ended (`after_unit`).

    `by` is "interrupt", "magic", "panel" or "cli".
    """

    by: str
    after_unit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted(Event):
    """A sweep's loop begins or goes on."""

    sweep: str
    total: int
    done: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepBypassed(Event):
    """A loop takes a sweep's waiting runs from a list, or stands inside several others (`inner`).

    None of the runs is marked, skipped or committed by itself then.
    """

    sweep: str
    inner: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStarted(Event):
    """A unit begins (or goes on): `index` counts from 0; `label` and `params` are for people."""

    sweep: str
    index: int
    total: int
    label: str
    params: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFinished(Event):
    """A unit is done: `status` is "done" or "failed", with its metrics or the one-line reason.

    `ranked_by`: the metric by which runs are compared, "" where nobody says. `did`: what was done about its failure, or so
    that memory sufficed. `key`: what the commit that holds its end knows it by.
    """

    sweep: str
    index: int
    label: str
    status: str
    metrics: dict[str, object] = field(default_factory=dict)
    reason: str = ""
    did: str = ""
    seconds: float = 0.0
    ranked_by: str = ""
    smaller_is_better: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSkipped(Event):
    """A unit had been finished before; it is not done again."""

    sweep: str
    index: int
    label: str
    status: str
    metrics: dict[str, object] = field(default_factory=dict)
    ranked_by: str = ""
    smaller_is_better: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(Event):
    """One training step: `step` counts from 1; `total` and `loss` where known."""

    step: int
    total: int | None = None
    loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySampled(Event):
    """Bytes in use: host (`host_used` of `host_limit`) and GPU (None without one); the disk of the local stores (None: unknown)."""

    host_used: int
    host_limit: int
    gpu_allocated: int | None = None
    gpu_reserved: int | None = None
    gpu_other: int | None = None
    gpu_total: int | None = None
    gpu_guard: int | None = None
    disk_free: int | None = None
    disk_total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReclaimed(Event):
    """Memory was cleared between models. Bytes before and after (GPU: None without one); `holders`: who still holds.

    `host`: all that counts against the limit; `rss`: this process's own; `gpu`: allocated; `reserved`: the GPU's too. The
    baselines are those at the beginning of the work. `forgotten`: names that were let go, for the next model binds them.
    """

    host_before: int
    host_after: int
    gpu_before: int | None = None
    gpu_after: int | None = None
    holders: tuple[str, ...] = ()
    rss_before: int | None = None
    rss_after: int | None = None
    rss_baseline: int | None = None
    gpu_baseline: int | None = None
    reserved_before: int | None = None
    reserved_after: int | None = None
    reserved_baseline: int | None = None
    forgotten: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPressure(Event):
    """Memory is short: `level` is "soft", "hard" or "last"; `what` says which memory and how much."""

    level: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfMemoryRecovered(Event):
    """Memory ran out, and the work goes on. `what`: which memory, with the error; `did`: what is tried now; `where`."""

    what: str
    did: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatSent(Event):
    """The kernel published a sign of life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PingHeard(Event):
    """The browser spoke; `round_trip_s` where it is known."""

    round_trip_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatLost(Event):
    """Nothing was heard from the browser for `silent_s` seconds."""

    silent_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLimitNear(Event):
    """The host may end this machine in `left_s` seconds, by its limit of `limit_s`; `whose` says for whom that holds.

    `asked`: whether a commit was asked for.
    """

    left_s: float
    limit_s: float
    whose: str = ""
    asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeReleased(Event):
    """`%keepalive --release`: the machine was given back, or, with `kept`, is not, for that reason."""

    kept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerFailed(Event):
    """A listener or background thread raised; nothing else was harmed."""

    who: str
    error: str


Listener = Callable[[Event, float], None]


def _as_it_is(event: Event) -> Event:
    return event


class EventBus:
    """Delivers events to listeners, in order; `synchronous=True` delivers in the caller's thread (tests)."""

    def __init__(self, workers: Workers | None = None, clock: Clock | None = None, *, synchronous: bool = False) -> None:
        self._clock: Clock = clock or SystemClock()
        self._workers = workers or Workers(self._clock)
        self._synchronous = synchronous
        self.clean: Callable[[Event], Event] = _as_it_is
        """What every event passes on its way to the listeners: secrets are taken out there."""
        self._listeners: list[tuple[Listener, tuple[type[Event], ...]]] = []
        self._queue: queue.SimpleQueue[tuple[Event, float] | threading.Event] = queue.SimpleQueue()
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        self.failures: list[tuple[str, BaseException]] = []

    def subscribe(self, listener: Listener, *kinds: type[Event]) -> Callable[[], None]:
        """Call `listener(event, time)` for events of `kinds` (all, if none is given); give the undo."""
        entry = (listener, kinds)
        self._listeners.append(entry)

        def undo() -> None:
            if entry in self._listeners:
                self._listeners.remove(entry)

        return undo

    def post(self, event: Event) -> None:
        """Hand over an event; returns at once."""
        if self._workers.disarmed:
            return
        event = self.clean(event)
        if self._synchronous:
            self._deliver(event, self._clock.time())
            return
        self._queue.put((event, self._clock.time()))
        if self._worker is None:
            with self._lock:
                if self._worker is None:
                    self._worker = self._workers.start("events", self._dispatch)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until what has been posted so far is delivered; say whether it was."""
        if self._synchronous or self._worker is None or not self._worker.thread.is_alive():
            return True
        mark = threading.Event()
        self._queue.put(mark)
        return mark.wait(timeout_s)

    def _dispatch(self, stopping: threading.Event) -> None:
        while True:
            try:
                item = self._queue.get(timeout=0.2)
            except queue.Empty:
                if stopping.is_set():
                    return
                continue
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._deliver(*item)

    def _deliver(self, event: Event, at: float) -> None:
        for listener, kinds in list(self._listeners):
            if kinds and not isinstance(event, kinds):
                continue
            try:
                listener(event, at)
            except Exception as error:  # the one place where a listener's error ends
                self.failures.append((getattr(listener, "__qualname__", repr(listener)), error))
                del self.failures[:-20]


