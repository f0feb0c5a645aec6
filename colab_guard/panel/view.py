"""`compose(state, now)`: what all three renderers draw, in words and numbers.

A sentence is a tuple of parts: text, `Ago` ("12 s ago") and `For` ("12 s"), so that a page can let the times run on
without asking the kernel. Bars only decorate: each says in words what it shows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from colab_guard.panel.state import PanelState

LIMIT_BYTES = 8000  # an update is under 8 KB for 39 runs and for 10,000


@dataclass(frozen=True, slots=True)
class Ago:
    """How long ago a moment was; in a static drawing, its time of day."""

    ago: float


@dataclass(frozen=True, slots=True)
class For:
    """How long something has lasted since a moment."""

    since: float


Sentence = tuple[str | Ago | For, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """`value` and `bad` of `total`; `mark` is a limit on the same scale; `series` are fractions for a small curve."""

    label: str
    words: Sentence
    value: float
    total: float
    bad: float = 0.0
    mark: float | None = None
    series: tuple[float, ...] = ()
    series_label: str = ""
    tone: str = "calm"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the runs' table, all in words."""

    sign: str
    status: str
    label: str
    params: str
    metric: str
    steps: str
    time: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled sentence."""

    label: str
    words: Sentence
    tone: str = "calm"


@dataclass(frozen=True, slots=True)
class Happening:
    """One event with its time of day."""

    time: str
    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything that is drawn, in reading order. Tones: "calm", "good", "warn", "bad"."""

    now: float
    as_of: str
    title: str
    sign: str
    phase: str
    tone: str
    running: bool
    elapsed: Sentence
    reason: str
    safety: Sentence
    safety_tone: str
    risk: Sentence
    bars: tuple[Bar, ...]
    rows: tuple[Row, ...]
    more: str
    facts: tuple[Fact, ...]
    events: tuple[Happening, ...]
    commands: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, for the page."""
        return asdict(self)


def compose(state: PanelState, now: float) -> View:
    """The view of `state` at `now`, under `LIMIT_BYTES` as JSON: what is longest is shortened first."""
    from colab_guard.panel import sections  # which builds what is declared here

    for room in (1.0, 0.6, 0.35, 0.2, 0.1):
        view = sections.view(state, now, room)
        if weight(view) <= LIMIT_BYTES:
            break
    return view


def weight(view: View) -> int:
    """Bytes of the update that a page gets."""
    return len(json.dumps(view.to_json(), ensure_ascii=False).encode())
