"""Loops inside libraries that can be resumed at a step: transformers' `Trainer` first."""

from __future__ import annotations

from colab_guard.cells import LibraryLoop


def default_loops() -> list[LibraryLoop]:
    """The library loops known here; none imports its library."""
    return []
