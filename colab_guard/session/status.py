"""How running work stands: for `%guard`, and for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkStatus:
    """What is known of a guarded cell. Shares are of the time so far, `refused` says what was not saved, and how often."""

    name: str
    saved: str | None
    position: str
    snapshots: int
    refused: tuple[str, ...]
    stall_share: float
    interval_s: float
    mirror: str
    guard_share: float = 0.0

    @property
    def not_saved(self) -> list[str]:
        """What was refused, in words; nothing where nothing was."""
        return [f"not saved {'; '.join(self.refused)}"] if self.refused else []

    def __str__(self) -> str:
        saved = f"saved {self.position} ({self.snapshots} snapshots so far)" if self.saved else "NOT SAVED yet"
        cost = f"saving every {self.interval_s:.3g} s costs {self.guard_share:.1%} of the time"
        words = [f"{self.name}: running, {saved}", cost, f"mirror: {self.mirror}", *self.not_saved]
        return f"{'; '.join(words)}. Stop it: %guard stop"
