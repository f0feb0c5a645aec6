"""Where a safe point is, as data that a commit record can hold and a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from colab_guard.errors import StoreDamaged


@dataclass(frozen=True, slots=True)
class Position:
    """A safe point from the cell inwards.

    `text` is for people ("model 16, step 400"); `depth` counts the loops that a resume re-enters; `signature` is the
    shape of the code that `text` and the captured frames refer to; `unit` is the index of the outermost iteration.
    `frames` and `functions` tell which functions stand on the way and which else the state holds the code of, so that
    an edited one is noticed before anything is restored. They are filled while state is captured.
    """

    text: str
    depth: int
    unit: int | None = None
    signature: list[list[object]] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    functions: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        found = {"text": self.text, "depth": self.depth, "unit": self.unit, "signature": self.signature}
        return {**found, "frames": self.frames, "functions": self.functions}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Position:
        """StoreDamaged where it is none."""
        try:
            lists = [list(data.get(name, [])) for name in ("signature", "frames", "functions")]
            return cls(str(data["text"]), int(data["depth"]), data.get("unit"), *lists)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StoreDamaged(f"the commit's record does not tell where the code stood ({error})") from error
