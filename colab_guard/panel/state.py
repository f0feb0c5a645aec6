"""`PanelState`: all that the panel knows, frozen and JSON-able, of bounded size. Times are seconds since the epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

ROWS = 10  # a glance; the results table has them all
FAILED_ROWS = 4  # failed runs stay in sight this long
CURVE_POINTS = 60
SERIES_POINTS = 60
SERIES_EVERY_S = 10.0  # 60 points of 10 s: ten minutes
EVENTS = 6
REASONS = 4
COMMITS = 12  # how far a mirror may lag behind and its position still be known


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run: `status` is "running", "done" or "failed"; `seconds` and `steps` where known."""

    index: int
    label: str
    status: str
    params: str = ""
    metric: str = ""
    steps: int | None = None
    seconds: float | None = None
    reason: str = ""
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class Best:
    """The best run so far by its first metric."""

    label: str
    params: str
    metric: str
    value: float
    words: str


@dataclass(frozen=True, slots=True)
class SweepPart:
    """The sweep as a whole, and the runs in sight (never more than `ROWS`).

    `before`: runs that were finished when the sweep began, counted in `done` and `failed` already; `skipped`: those of
    them that have been passed.
    """

    name: str
    total: int
    done: int = 0
    failed: int = 0
    before: int = 0
    skipped: int = 0
    rows: tuple[RunRow, ...] = ()
    best: Best | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """Losses thinned to at most `CURVE_POINTS`: each point is the mean of `every` losses."""

    points: tuple[float, ...] = ()
    every: int = 1
    held: float = 0.0
    count: int = 0

    def add(self, value: float) -> Curve:
        held, count = self.held + value, self.count + 1
        if count < self.every:
            return replace(self, held=held, count=count)
        points = (*self.points, held / count)
        if len(points) < CURVE_POINTS:
            return replace(self, points=points, held=0.0, count=0)
        pairs = tuple((a + b) / 2 for a, b in zip(points[::2], points[1::2], strict=False))
        return Curve(pairs, self.every * 2)


@dataclass(frozen=True, slots=True)
class Current:
    """The run that is training now. `first_step` at `first_at` is where the rate is measured from.

    `diverged` is the loss in words ("nan") where it is no finite number; `loss` is None then.
    """

    step: int
    total: int | None
    at: float
    first_step: int
    first_at: float
    loss: float | None = None
    best_loss: float | None = None
    curve: Curve = field(default_factory=Curve)
    diverged: str = ""

    @property
    def rate(self) -> float | None:
        """Steps a second since the first step heard of."""
        passed = self.at - self.first_at
        return (self.step - self.first_step) / passed if passed > 0 and self.step > self.first_step else None


@dataclass(frozen=True, slots=True)
class Reached:
    """A commit that has come somewhere: on the local disk, to a mirror, proved there. `at` None: before this start."""

    commit: str
    at: float | None
    position: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Safety:
    """What is saved, sent and durable; and what stood in the way since the last save."""

    saved: Reached | None = None
    sent: Reached | None = None
    durable: Reached | None = None
    refused: int = 0
    failing: bool = False
    reason: str = ""
    not_kept: int = 0
    refusals: tuple[tuple[str, int], ...] = ()
    """All refused and failed snapshots of this work by reason, the latest last."""
    commits: tuple[tuple[str, str], ...] = ()

    def position_of(self, commit: str) -> str:
        return next((position for known, position in reversed(self.commits) if known == commit), "")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in use. Everything about the GPU is None without one. Series are fractions, oldest first."""

    host_used: int
    host_limit: int
    host_peak: int
    gpu_allocated: int | None = None
    gpu_reserved: int | None = None
    gpu_other: int | None = None
    gpu_total: int | None = None
    gpu_guard: int | None = None
    gpu_peak: int | None = None
    host_series: tuple[float, ...] = ()
    gpu_series: tuple[float, ...] = ()
    series_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Freed:
    """What the last clear freed, in bytes, and who still holds memory."""

    at: float
    host: int
    gpu: int | None
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MirrorPart:
    """The mirror: `state` is "off", "waiting" (nothing heard yet), "ok", "catching up" or "degraded"."""

    state: str = "off"
    reason: str = ""
    lag_s: float | None = None
    bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """Signs of life, both ways."""

    beats: int = 0
    beat_at: float | None = None
    pings: int = 0
    ping_at: float | None = None
    round_trip_s: float | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One event for people: `tone` is "calm", "good", "warn" or "bad"."""

    at: float
    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class PanelState:
    """Everything at one moment. `phase`: "idle", "starting", "running", "done", "failed", "stopped" or "restored"."""

    name: str = ""
    phase: str = "idle"
    started: float | None = None
    ended: float | None = None
    reason: str = ""
    where: str | None = None
    stopping: str = ""
    sweep: SweepPart | None = None
    current: Current | None = None
    safety: Safety = field(default_factory=Safety)
    memory: Memory | None = None
    freed: Freed | None = None
    mirror: MirrorPart = field(default_factory=MirrorPart)
    connection: Connection = field(default_factory=Connection)
    no_points: tuple[str, ...] = ()
    """Places without safe points, told before the first run."""
    inexact: tuple[str, ...] = ()
    """Why what follows may differ in its last bits from an uninterrupted run."""
    events: tuple[Line, ...] = ()

    @property
    def over(self) -> bool:
        """Whether the work has ended."""
        return self.phase in ("done", "failed", "stopped", "restored")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)
