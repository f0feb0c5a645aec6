"""A capture for the sake of what it says: how much there is, and what could not be kept. No memory is copied.

Pickling asks objects for their state, as every snapshot does; files open for writing are not flushed here, and nothing
reaches the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from colab_guard.errors import SnapshotRefused
from colab_guard.state.live import Live
from colab_guard.state.paths import Roots
from colab_guard.state.pickler import Definitions, KeptFromHere, Placeholder, dump


@dataclass(frozen=True, slots=True)
class Trial:
    """Bytes of memory and of the pickled rest; `lost` is what would be a placeholder, or refuse the snapshot."""

    memory: int
    graph: int
    lost: tuple[Placeholder, ...]
    failed: str = ""


def trial(names: Mapping[str, Any], live: Live) -> Trial:
    """Try to capture `names` as they are now."""
    roots = Roots(dict(names), [])
    try:
        parts, pickler = dump(({}, KeptFromHere(), {"names": dict(names)}, Definitions()), live, roots, trial=True)
    except (SnapshotRefused, RecursionError) as error:
        return Trial(0, 0, (), str(error) if isinstance(error, SnapshotRefused) else "")
    blocks = {(b.device, b.address if b.nbytes else id(b.owner)): b.nbytes for b in pickler.blocks.by_place.values()}
    return Trial(sum(blocks.values()), sum(map(len, parts.values())), tuple(pickler.placeholders))
