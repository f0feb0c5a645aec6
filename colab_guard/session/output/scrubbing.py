"""The one place that all recorded text passes on its way into a commit: secrets are replaced here."""

from __future__ import annotations

from typing import Any

from colab_guard import state


def scrubbed(text: str) -> str:
    """`text` as it may be stored."""
    return state.scrubbed(text)


def scrubbed_data(data: Any) -> Any:
    """Data for JSON as it may be stored."""
    return state.scrubbed_json(data)
