"""What is said of a mirror: its state when that changes, and which commits are sent or durable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from colab_guard.events import EventBus, MirrorChanged, SnapshotDurable, SnapshotSent
from colab_guard.store.mirror.status import MirrorStatus
from colab_guard.store.types import CommitRecord


class Told:
    """The `status` of the mirror of the work `name` at `where`, and the events that tell of it."""

    def __init__(self, name: str, where: str, bus: EventBus | None, status: MirrorStatus) -> None:
        self.status = status
        self._name = name
        self._where = where
        self._bus = bus

    def note(self, **facts: Any) -> None:
        """Know it, and tell nobody now. `facts` are fields of the status."""
        self.status = replace(self.status, **facts)

    def change(self, *, again: bool = False, **facts: Any) -> None:
        """Tell it where its state or the reason is another than before; with `again` also where it is not: the lag grows."""
        before = self.status
        self.note(**facts)
        status = self.status
        if again or (status.state, status.reason) != (before.state, before.reason):
            self._post(
                MirrorChanged(
                    name=self._name, state=status.state, reason=status.reason, lag_s=status.lag_s, bytes_per_s=status.bytes_per_s
                )
            )

    def sent(self, record: CommitRecord, proof: str | None, now: float, damaged: str) -> None:
        """All that `record` needs is there, as `proof` proves; `damaged`: what is said of something else that is not."""
        before = self.status
        if proof is not None and record.id != before.durable_commit:
            self._post(SnapshotDurable(name=self._name, commit=record.id, where=self._where, receipt=proof))
            self.note(durable_commit=record.id, durable_at=now)
        elif proof is None and record.id != before.last_sent_commit:
            self._post(SnapshotSent(name=self._name, commit=record.id, where=self._where))
        self.change(
            again=record.id != before.last_sent_commit,
            state="degraded" if damaged else "ok",
            reason=damaged,
            last_sent_commit=record.id,
            last_sent_at=now,
            lag_s=now - record.created,
        )

    def _post(self, event: MirrorChanged | SnapshotDurable | SnapshotSent) -> None:
        if self._bus is not None:
            self._bus.post(event)
