"""What a finished unit leaves in its commit: a JSON record, and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """One finished unit.

    `key` identifies it within `group` (a sweep's name) for ever: the hash of its parameters. `record` is JSON-able.
    `files` maps relative names ("adapter/adapter_model.safetensors") to the files that hold them now.
    """

    group: str
    key: str
    record: Mapping[str, object]
    files: Mapping[str, Path] = field(default_factory=dict)
