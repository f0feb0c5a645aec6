"""Capture → queue → commit, for one guarded piece of work.

The training thread calls `take` at a safe point. State is captured there (training stands still for that long), and a
writer thread commits it. One commit is on its way at a time: while the writer is busy, nothing more is due. Unit ends
and the end of the cell are waited for, so that what is shown as finished is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from colab_guard.clock import Clock
from colab_guard.errors import GuardError, SnapshotRefused
from colab_guard.events import EventBus, LongUnsaved, NotBitExact, NotKept, SnapshotNotTaken, SnapshotSaved, SpaceNotFreed
from colab_guard.snapshots.committing import Committing, Job, Outcome, Sink
from colab_guard.snapshots.drafting import Drafting
from colab_guard.snapshots.files import FolderWatch
from colab_guard.snapshots.leaving import Leaving
from colab_guard.snapshots.overlapping import Overlapping
from colab_guard.snapshots.position import Position
from colab_guard.snapshots.refusals import Refusals
from colab_guard.snapshots.schedule import Schedule
from colab_guard.snapshots.units import UnitRecord
from colab_guard.state import Captured
from colab_guard.store import CommitKind, CommitRecord
from colab_guard.workers import Workers

SHORTEST_TURN_S, LONGEST_TURN_S = 0.05, 0.5


class Engine:
    """Takes snapshots into `sink`; `meta` goes into every commit record, `facts()` and the parts of `output()` as they are then."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        *,
        schedule: Schedule,
        bus: EventBus,
        clock: Clock,
        workers: Workers,
        files: FolderWatch | None = None,
        meta: Mapping[str, Any] | None = None,
        on_saved: Callable[[CommitRecord], None] | None = None,
        facts: Callable[[], Mapping[str, Any]] | None = None,
        output: Callable[[], Mapping[str, bytes]] | None = None,
    ) -> None:
        self.name = name
        self.schedule = schedule
        self.refusals = Refusals(clock.monotonic)
        self.failure: BaseException | None = None
        """Why the last commit could not be written; None where it could."""
        self.saved: CommitRecord | None = None
        self.taken = 0
        self.torn = 0
        """Snapshots that were given up because memory changed while it was copied beside training."""
        self.on_shed: list[Callable[[], object]] = []
        """What lets go of memory that can be had again: copies of state that is written."""
        self.meta = dict(meta or {})
        self._sink = sink
        self._bus = bus
        self._clock = clock
        self._workers = workers
        self._on_saved = on_saved
        self._commit_asked = False
        self._room_asked = False
        self._stop_asked: str | None = None
        self._stop_after_unit: str | None = None
        self._left: str | None = None
        self._not_freed = ""
        self._said: set[str] = set()
        self._owed: list[UnitRecord] = []
        self._drafting = Drafting(self.name_loss, files, self.meta, facts or dict, output or dict)
        self._overlapping = Overlapping(workers, clock.monotonic)
        self._committing = Committing(sink, workers, clock.monotonic, self._ended)

    # requests

    def request_commit(self) -> None:
        """Commit at the next safe point."""
        self._commit_asked = True

    def request_room(self) -> None:
        """Memory is short: commit at the next safe point, then let go of what can be made again."""
        self._commit_asked = self._room_asked = True

    def request_stop(self, by: str) -> None:
        """Commit and stop at the next safe point."""
        self._stop_asked = by

    def request_stop_after_unit(self, by: str) -> None:
        """Commit and stop when the unit that runs has ended, or at the first safe point after that which can be saved."""
        self._stop_after_unit = by

    def take_back_stop(self) -> None:
        """Stop no more at the next safe point."""
        self._stop_asked = self._stop_after_unit = None

    @property
    def hopeless(self) -> str | None:
        """Why the next safe point will hardly be saved either: all have been refused for some time; else None."""
        return self.refusals.hopeless

    @property
    def refused_last(self) -> str | None:
        """Why the last safe point could not be saved; None where it could."""
        return self.refusals.row.reason if self.refusals.row is not None else None

    @property
    def stop_asked(self) -> str | None:
        return self._stop_asked

    def due(self) -> bool:
        """Whether a snapshot should be taken at a safe point now."""
        self._overlapping.look()
        if self._stop_asked is not None or self._commit_asked or self._left is not None:
            return True
        return self.schedule.due() and not self._committing.busy

    def overdue(self) -> bool:
        return self._stop_asked is not None or self._commit_asked or self.schedule.overdue()

    def periodically(self, name: str, every_s: float, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` in a thread every `every_s` seconds, within reason; give what ends that."""
        worker = self._workers.periodic(name, min(max(every_s, SHORTEST_TURN_S), LONGEST_TURN_S), action)
        return lambda: worker.stopping.set()

    def may(self, place: Hashable) -> bool:
        """Whether a safe point at `place` in the code is worth trying; those where state was not whole wait a while."""
        return self._stop_asked is not None or self._commit_asked or self.schedule.may(place)

    # taking

    def take(
        self,
        kind: CommitKind,
        position: Position,
        capture: Callable[[], Captured],
        unit: UnitRecord | None = None,
    ) -> bool:
        """Capture and commit; say whether it was possible. Raises `Leaving` when a stop was asked and this is now saved.

        After that, whatever runs on (code that catches everything) is no part of the work: nothing more is committed.
        """
        if self._workers.disarmed:
            return False
        if self._left is not None:
            raise Leaving(self._left)
        self._wait_for_writer()
        if unit is not None:
            self._unit_ended(unit)
        began = self._clock.monotonic()
        try:
            captured = capture()
            drafts = self._drafting.drafts(kind, position, captured, self._owed)
        except SnapshotRefused as refusal:
            self._not_taken(position, str(refusal), failed=False)
            self._shed_if_asked()
            return False
        except Exception as error:
            if isinstance(error, MemoryError) and not isinstance(error, GuardError):
                raise  # for those who make room
            # a reducer of some library failed: training goes on, the snapshot is shown as failed
            self._not_taken(position, f"{type(error).__name__}: {error}", failed=True)
            return False
        overlap = captured.overlap
        if overlap is not None and (kind != "step" or self._owed or self._commit_asked or self._stop_asked is not None):
            overlap.join()  # nothing has run since
            overlap = None
        stall_s = self._clock.monotonic() - began
        for what, why in self._drafting.not_kept(captured).items():
            self.name_loss(what, why)
        self._unsaved_until_now()
        last_taken = self.schedule.last_taken
        self.schedule.captured(stall_s)
        job = Job(drafts, stall_s, began, tuple(self._owed), ready=overlap is None)
        self._committing.hold(job)
        self._owed = []
        if overlap is None:
            self._committing.put(job)
        else:
            self._overlapping.begin(overlap, partial(self._joined, job, last_taken))
        self._commit_asked = False
        self.refusals.taken()
        if kind != "step" or self._stop_asked is not None or self._room_asked:
            self._wait_for_writer()
        self._shed_if_asked()
        if self._stop_asked is not None and self.failure is None:
            self._left = f"{self.name} is saved at {position.text}; run the cell again to go on."
            raise Leaving(self._left)
        return True

    def refuse(self, position: Position, reason: str, unit: UnitRecord | None = None) -> None:
        """A safe point that cannot be used: count it, show it, try at the next, which commits `unit` too."""
        if unit is not None:
            self._unit_ended(unit)
        self._not_taken(position, reason, failed=False)

    def _unit_ended(self, unit: UnitRecord) -> None:
        self._owed.append(unit)
        self._stop_asked = self._stop_asked or self._stop_after_unit

    def forget_owed(self) -> None:
        """The work goes back to before the units that no commit holds yet: they will end once more."""
        self._owed = []

    def say_refusals(self) -> None:
        """The work is over: post for how long it went unsaved because snapshots were refused, where that was long."""
        self._unsaved_until_now()
        seconds, counts = self.refusals.longest
        if counts:
            reasons = tuple(self.refusals.words(counts))
            self._bus.post(LongUnsaved(name=self.name, seconds=seconds, refused=sum(counts.values()), reasons=reasons))

    def wait(self) -> None:
        """Wait until what was captured is written."""
        self._wait_for_writer()

    def close(self) -> None:
        """Wait until what was captured is written, end the writer, and let the copies go."""
        self._wait_for_writer()
        self._overlapping.close()
        self._shed()
        self._committing.close()
        self._drafting.forget()

    # inside

    def _shed_if_asked(self) -> None:
        """Nothing is on its way to the store: copies are not needed until the next capture."""
        if self._room_asked:
            self._room_asked = False
            self._shed()

    def _shed(self) -> None:
        for shed in self.on_shed:
            shed()

    def _unsaved_until_now(self) -> None:
        self.refusals.ended(self._clock.monotonic() - self.schedule.last_taken, self.schedule.interval_s)

    def _joined(self, job: Job, last_taken: float, torn: tuple[str, ...], join_s: float, cpu_s: float) -> None:
        """The copies that were made beside training are whole, except what is `torn`."""
        self.schedule.joined(join_s)
        if not torn:
            self._committing.put(replace(job, stall_s=job.stall_s + join_s, cpu_s=cpu_s, ready=True))
            return
        self._committing.give_up()
        self.torn += 1
        self.schedule.taken_back(last_taken)
        what = f"{torn[0]} and {len(torn) - 1} more" if len(torn) > 1 else torn[0]
        reason = f"{what} changed while it was copied beside training; it is copied at the safe point from now on"
        self._job_not_taken(job, reason, failed=False)

    def _wait_for_writer(self) -> None:
        self._overlapping.finish()
        self._committing.wait()

    def _ended(self, outcome: Outcome) -> None:
        """What became of a commit, in the writer's thread."""
        job, error = outcome.job, outcome.error
        self.failure = error
        if outcome.record is not None and error is None:
            self._report(outcome.record, job, outcome.write_s, outcome.cpu_s)
            return
        self._owed = [*job.owed[outcome.written :], *self._owed]  # the next commit ends them
        self._job_not_taken(job, f"{type(error).__name__}: {error}", failed=True)
        self.schedule.failed()

    def _report(self, record: CommitRecord, job: Job, write_s: float, cpu_s: float) -> None:
        self.saved = record
        self.taken += 1
        self.schedule.written(job.stall_s, write_s, cpu_s)
        self._bus.post(
            SnapshotSaved(
                name=self.name,
                commit=record.id,
                kind=record.kind,
                position=str(record.position["text"]),
                bytes_new=record.bytes_new,
                bytes_total=record.bytes_total,
                stall_s=job.stall_s,
                write_s=write_s,
                age_s=self._clock.monotonic() - job.captured,
                units=tuple(str(draft.unit["key"]) for draft in job.drafts if draft.unit is not None),
            )
        )
        if (why := self._sink.not_removed) != self._not_freed:
            self._not_freed = why
            if why:
                self._bus.post(SpaceNotFreed(name=self.name, reason=why))
        if self._on_saved is not None:
            self._on_saved(record)

    def _job_not_taken(self, job: Job, reason: str, *, failed: bool) -> None:
        self._not_taken(Position.from_json(job.drafts[-1].position), reason, failed=failed)

    def _not_taken(self, position: Position, reason: str, *, failed: bool) -> None:
        self.refusals.add(reason, position.text)
        self.schedule.refused()
        self._bus.post(SnapshotNotTaken(name=self.name, position=position.text, reason=reason, failed=failed))

    def name_inexact(self, reason: str) -> None:
        """Say why what follows may differ in its bits; every commit from now on carries it."""
        before = self.meta.setdefault("inexact", [])
        if reason not in before:
            self.meta["inexact"] = [*before, reason]
            self._bus.post(NotBitExact(name=self.name, reasons=(reason,)))

    def name_loss(self, what: str, why: str) -> None:
        """Say once that `what` is not kept."""
        if what not in self._said:
            self._said.add(what)
            self._bus.post(NotKept(name=self.name, what=what, why=why))
