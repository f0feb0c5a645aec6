"""The one place that all recorded text passes on its way into a commit.

Values that look like secrets will be replaced here; until then text passes as it is.
"""

from __future__ import annotations


def scrubbed(text: str) -> str:
    """`text` as it may be stored."""
    return text
