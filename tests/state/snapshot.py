"""For the tests of what a snapshot keeps: names go into one and come back."""

from __future__ import annotations

from typing import Any

from colab_guard import state
from colab_guard.state import Live


def there_and_back(kept: dict[str, Any] | None = None, **needed: Any) -> dict[str, Any]:
    live = Live({}, {})
    captured = state.capture({"names": needed}, {"names": kept or {}}, live)
    buffers = {b.key: bytearray(b.data) for b in captured.buffers}
    back, back_kept = state.restore(captured.parts, buffers, live)
    return {**back_kept["names"], **back["names"]}
