"""`compose(state, now)`: what all three renderers draw, in words and numbers.

A sentence is a tuple of parts: text, `Ago` ("12 s ago"), `For` ("12 s") and `Between` ("12 to 17 min"), so that a page can
let the times run on without asking the kernel. Bars only decorate: each says in words what it shows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from colab_guard.panel.state import PanelState
from colab_guard.panel.words import clip

LIMIT_BYTES = 8000  # an update is under 8 KB for 39 runs and for 10,000
PIECE_BYTES = 1400
"""Of these: a piece of the table of ended runs that goes along."""
PIECE_ROWS = 6
PIECES = 17  # of 6 rows: a little more than `state.KEPT_ROWS`


@dataclass(frozen=True, slots=True)
class Ago:
    """How long ago a moment was; in a static drawing, its time of day."""

    ago: float


@dataclass(frozen=True, slots=True)
class For:
    """How long something has lasted since a moment."""

    since: float


@dataclass(frozen=True, slots=True)
class Between:
    """How long it will take until some moment between two; in a static drawing, their times of day."""

    low: float
    high: float


Sentence = tuple[str | Ago | For | Between, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a stacked bar: `kind` is "fill", "spare", "other" or "bad"."""

    label: str
    value: float
    kind: str


@dataclass(frozen=True, slots=True)
class Series:
    """A small curve: `points` and `line` (a limit) are hundredths of its height; `marks` of its width, with their kind.

    `label` says in words what is drawn. Whole numbers: they are drawn 26 pixels high, and sent each second.
    """

    points: tuple[int, ...]
    label: str
    line: int | None = None
    marks: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """`parts` of `total`, side by side; `mark` is a limit and `peak` a highest value on the same scale."""

    label: str
    words: Sentence
    parts: tuple[Part, ...]
    total: float
    mark: float | None = None
    peak: float | None = None
    series: Series | None = None
    tone: str = "calm"


class Row(NamedTuple):
    """A line of the runs' table, all in words, sent as the list of its values; `number` is its place in the sweep, from 0.

    `order` has what its columns are sorted by, None where it is not known: the metric, steps, seconds and peak.
    """

    number: int
    sign: str
    status: str
    label: str
    params: str
    metric: str
    steps: str
    time: str
    peak: str = ""
    commit: str = ""
    reason: str = ""
    did: str = ""
    order: tuple[float | None, ...] = ()


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
    """Everything that is drawn, in reading order. Tones: "calm", "good", "warn", "bad".

    `asks`: what a page may ask of the kernel: the word, what its button says, and what to do where the kernel does not hear.
    `started` tells this work from others of its name. `ended`: the runs that can be looked through, a page gets in pieces.
    """

    now: float
    as_of: str
    title: str
    sign: str
    phase: str
    tone: str
    running: bool
    elapsed: Sentence
    count: str
    eta: Sentence
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
    asks: tuple[tuple[str, str, str], ...] = ()
    started: float | None = None
    peak_of: str = ""
    ended: tuple[Row, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, for the page; rows as lists of their values, and without `ended`."""
        return {name: _plain(getattr(self, name)) for name in View.__dataclass_fields__ if name != "ended"}

    def pieces(self) -> list[list[list[Any]]]:
        """`ended` in `PIECES` pieces, each of at most `PIECE_BYTES`: a run stays in its piece, so that few change at a time."""
        pieces: list[list[list[Any]]] = [[] for _ in range(PIECES)]
        for row in self.ended:
            pieces[row.number // PIECE_ROWS % PIECES].append(list(row))
        return [_fitted(piece) for piece in pieces]


def _plain(value: Any) -> Any:
    """As JSON values; `asdict` copies each leaf too, which takes ten times as long."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    fields = getattr(type(value), "__dataclass_fields__", None)
    return value if fields is None else {name: _plain(getattr(value, name)) for name in fields}


def _fitted(rows: list[list[Any]]) -> list[list[Any]]:
    """Rows with their longest texts shortened until the piece is small enough."""
    for limit in (80, 40, 24, 12, 4):
        if len(_json(rows)) <= PIECE_BYTES:
            break
        rows = [[clip(value, limit) if isinstance(value, str) else value for value in row] for row in rows]
    return rows


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def compose(state: PanelState, now: float) -> View:
    """The view of `state` at `now`, under `LIMIT_BYTES` less `PIECE_BYTES` as JSON: what is longest is shortened first."""
    from colab_guard.panel import sections  # which builds what is declared here

    for room in (1.0, 0.8, 0.6, 0.45, 0.3, 0.2, 0.1, 0.05):
        view = sections.view(state, now, room)
        if weight(view) <= LIMIT_BYTES - PIECE_BYTES:
            break
    return view


def weight(view: View) -> int:
    """Bytes of the update that a page gets."""
    return len(_json(view.to_json()))
