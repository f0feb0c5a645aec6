"""`PanelState`: all that the panel knows, frozen and JSON-able, of bounded size. Times are seconds since the epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from colab_guard.panel.measured import Curve, Freed, Memory

ROWS = 10  # a glance; the results table has them all
FAILED_ROWS = 4  # failed runs stay in sight this long
KEPT_ROWS = 96
"""Ended runs that can be looked through in the page and stay in the notebook; `sweep.results` has all."""
EVENTS = 6
REASONS = 4
COMMITS = 12  # how far a mirror may lag behind and its position still be known


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run: `status` is "running", "done", "failed" or "unfinished"; `seconds`, `steps` and `peak` (bytes) where known.

    `value` is the metric by which runs are compared; `did`: what was done about its failure, or so that memory sufficed;
    `commit` holds it, and `reached` tells how far that commit has come: "saved", "sent" or "durable"; `key` is how a commit that
    holds its end names it.
    """

    index: int
    label: str
    status: str
    params: str = ""
    metric: str = ""
    value: float | None = None
    steps: int | None = None
    seconds: float | None = None
    reason: str = ""
    did: str = ""
    earlier: bool = False
    began: float | None = None
    peak: int | None = None
    commit: str = ""
    reached: str = ""
    key: str = ""


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
    """The sweep as a whole, the runs in sight (never more than `ROWS`), and those that have `ended` (at most `KEPT_ROWS`).

    `before`: runs that were finished when the sweep began, counted in `done` and `failed` already; `skipped`: those of
    them that have been passed. `times`: seconds that the newest runs took, those of before left out. `inner`: the run of
    another sweep that trains inside the one that runs, "" for none.
    """

    name: str
    total: int
    done: int = 0
    failed: int = 0
    before: int = 0
    skipped: int = 0
    rows: tuple[RunRow, ...] = ()
    ended: tuple[RunRow, ...] = ()
    times: tuple[float, ...] = ()
    best: Best | None = None
    inner: str = ""

    @property
    def under_way(self) -> bool:
        """Whether runs are left, so that one will end."""
        return self.done + self.failed < self.total


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
    """A commit that has come somewhere: on the local disk, to a mirror, proved there. `at` None: before this start.

    `captured`: when the work was in the state that it holds, None where that was before this start, or is not known.
    `proof`: by what it was verified; "" where nothing has. `kind` is "step", "unit" or "cell" (the cell's end).
    """

    commit: str
    at: float | None
    position: str = ""
    where: str = ""
    proof: str = ""
    captured: float | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as it was saved: its place in the work, and when the work was there (None: before this start)."""

    ident: str
    position: str
    captured: float | None = None


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
    commits: tuple[Commit, ...] = ()
    resumed: bool = False
    """A commit of before this start was taken up: a mirror may hold others of then."""

    def known(self, ident: str) -> Commit:
        """The commit, without a position where too many have come after it."""
        return next((commit for commit in reversed(self.commits) if commit.ident == ident), Commit(ident, ""))


@dataclass(frozen=True, slots=True)
class MirrorPart:
    """The mirror: `state` is "off", "waiting" (nothing heard yet), "ok", "catching up" or "degraded"."""

    state: str = "off"
    reason: str = ""
    lag_s: float | None = None
    bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """Signs of life, both ways. `returns`: how often the browser was heard again after it had been lost."""

    beats: int = 0
    beat_at: float | None = None
    pings: int = 0
    ping_at: float | None = None
    round_trip_s: float | None = None
    lost: bool = False
    returns: int = 0


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
    saves: bool = True
    """False for `with work()`: nothing of it is saved, and it has no safe points."""
    stopping: str = ""
    """Who asked to stop; "" for nobody."""
    stopping_after_run: bool = False
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
