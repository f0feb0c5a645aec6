"""Whether the end of a guarded cell outlives this machine: what `%keepalive --release` asks before it lets the machine go."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from colab_guard import store
from colab_guard.clock import Clock

LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class DurableEnd:
    """The far end of one cell's work. `to` is the mirror as the user named it, `mirror` it from when it was opened.

    `tried`: what it showed before the work. `saved`: the newest commit, or that of the finished cell that was restored.
    Asked long after the work, so that it holds nothing else of the cell.
    """

    to: str | None
    mirror: store.Mirror | None = None
    tried: store.Tried | None = None
    saved: store.CommitRecord | None = None

    def hear(self, record: store.CommitRecord) -> None:
        """A commit was saved here; the mirror takes it on."""
        self.saved = record
        if self.mirror is not None:
            self.mirror.nudge()

    def cannot_prove(self) -> str:
        """Why nothing of this work will ever be durable, "" where it may."""
        if self.mirror is None:
            return "it is saved on this machine alone; put --to on its %%checkpointed line"
        if self.tried is not None and not self.tried.proof:
            return f"{self.to} cannot prove that it has it (gs://, s3:// and hf:// can, Drive's mount cannot)"
        return ""

    def only_here(self) -> str:
        """Why the cell's end is on this machine alone; "" where it is durable."""
        if self.saved is None or self.saved.kind != "cell":
            return "its end could not be saved"
        if self.mirror is None:
            return self.cannot_prove()
        if self.mirror.status.durable_commit == self.saved.id:
            return ""
        return self.cannot_prove() or f"its end is not at {self.to} yet; run its cell again to send it"

    def wait(self, clock: Clock, limit_s: float) -> None:
        """Until the end is durable, or nothing more will come of it; `limit_s` at most."""
        if self.mirror is None:
            return
        until = clock.monotonic() + limit_s
        self.mirror.flush(limit_s)
        never = threading.Event()
        while self.only_here() and self.mirror.unsettled and clock.monotonic() < until:
            clock.wait(never, LOOK_EVERY_S)
