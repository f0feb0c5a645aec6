"""How the processes use a mirror, in one place: a folder that is said to prove what it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from colab_guard.events import Event, EventBus, SnapshotDurable
from colab_guard.store import FolderPlace, Mirror, Store, fetch_from_mirror
from colab_guard.workers import Workers
from tests.store.kills.content import ME


def mirror_of(store: Store, folder: Path, durable: Callable[[str], None]) -> Mirror:
    """A mirror in `folder` that sends at once; `durable` is told the commits that are called so."""

    def hear(event: Event, at: float) -> None:
        if isinstance(event, SnapshotDurable):
            durable(event.commit)

    bus = EventBus(synchronous=True)
    bus.subscribe(hear)
    return Mirror(store, FolderPlace(folder, "this folder stands for a proved place"), workers=Workers(), bus=bus, every_s=0.0)


def fetch(folder: Path, local: Path) -> bool:
    """Bring what a lost local store lacks."""
    return bool(fetch_from_mirror(folder, local, ME))
