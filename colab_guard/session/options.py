"""What `%%checkpointed` and its Python twin may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colab_guard.state import Overlapping


@dataclass(frozen=True, slots=True)
class CheckpointOptions:
    """Options of one guarded cell, checked already; times in seconds, `budget` as a fraction of training time.

    `mirror_every_s` None means: chosen from measured bandwidth. `keep`, `skip` and `files` may hold several words.
    """

    to: str | None = None
    every_s: float = 60.0
    mirror_every_s: float | None = None
    budget: float = 0.01
    fresh: bool = False
    resume: bool = False
    take_over: bool = False
    keep: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    overlap: Overlapping = "params"
    explain: bool = False
