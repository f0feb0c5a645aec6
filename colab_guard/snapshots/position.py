"""Where a safe point is, as data that a commit record can hold and a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Position:
    """A safe point from the cell inwards.

    `text` is for people ("model 16, step 400"); `depth` counts the loops that a resume re-enters; `signature` is the
    shape of the code that `text` and the captured frames refer to; `unit` is the index of the outermost iteration.
    """

    text: str
    depth: int
    unit: int | None = None
    signature: list[list[object]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, "depth": self.depth, "unit": self.unit, "signature": self.signature}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Position:
        return cls(str(data["text"]), int(data["depth"]), data.get("unit"), list(data.get("signature", [])))
