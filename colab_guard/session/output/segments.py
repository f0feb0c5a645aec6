"""Pieces of a record: what is displayed and printed, open pieces that still grow, and sealed ones that never change.

A sealed segment is bytes: one JSON object a line. Equal bytes are one chunk in a store, so what was printed long ago is
not stored again with each commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from colab_guard.session.output.bundles import Bundle
from colab_guard.session.output.folding import Folded
from colab_guard.session.output.scrubbing import scrubbed

ITEM_BYTES = 200
"""What an item weighs beside its text, so that very many tiny ones are bounded too."""


@dataclass(slots=True)
class Text:
    """What one stream wrote until something else came."""

    stream: str
    folded: Folded = field(default_factory=Folded)

    def to_json(self) -> dict[str, Any]:
        return {"stream": self.stream, "text": scrubbed(self.folded.text())}


@dataclass(slots=True)
class Shown:
    """One display; `number` is its own in the record, `display_id` the one by which it can be updated."""

    number: int
    bundle: Bundle
    display_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"display": self.number, "id": self.display_id, **self.bundle.to_json()}


Item = Text | Shown


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed piece: `blobs` are the names of the bytes that it refers to, once for each use, `displays` its displays' numbers."""

    name: str
    lines: bytes
    text_bytes: int
    blob_bytes: int
    blobs: tuple[str, ...]
    displays: tuple[int, ...]

    @property
    def weight(self) -> int:
        return len(self.lines) + ITEM_BYTES * self.lines.count(b"\n")


def encoded(items: Iterable[Item]) -> bytes:
    """Items as JSON lines."""
    lines = [json.dumps(item.to_json(), ensure_ascii=False, separators=(",", ":")) + "\n" for item in items]
    return "".join(lines).encode("utf-8", "surrogatepass")


def decoded(lines: bytes) -> Iterator[dict[str, Any]]:
    for line in lines.decode("utf-8", "surrogatepass").split("\n"):
        if line:
            yield json.loads(line)


def sealed(name: str, items: Iterable[Item]) -> Segment:
    """The segment that `items` come to."""
    items = list(items)
    shown = [item for item in items if isinstance(item, Shown)]
    blobs = [(name, len(blob)) for item in shown for _, name, blob in item.bundle.blobs.values()]
    text = sum(item.folded.size for item in items if isinstance(item, Text))
    text += sum(len(text) for item in shown for text in item.bundle.inline.values())
    return Segment(
        name,
        encoded(items),
        text,
        sum(size for _, size in blobs),
        tuple(blob for blob, _ in blobs),
        tuple(item.number for item in shown),
    )
