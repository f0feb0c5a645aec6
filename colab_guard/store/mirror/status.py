"""What is known of the mirror now, for people and for the schedule."""

from __future__ import annotations

from dataclasses import dataclass

OLD_SHARE = 0.7
"""How much of the measured speed is the past's."""


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
    free_bytes: int | None = None


def speed(before: float | None, sent: int, seconds: float) -> float | None:
    """Bytes a second, smoothed; small sendings measure the delay and not the speed."""
    if sent < 2**18 or seconds <= 0:
        return before
    now = sent / seconds
    return now if before is None else OLD_SHARE * before + (1 - OLD_SHARE) * now
