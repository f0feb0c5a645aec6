"""When and how state is saved: schedule, requests, capture → queue → commit, and the files that belong to a snapshot.

What enters: safe points (with a way to capture state there), requests to commit or stop, a store to write to. What
leaves: commits, and events that say what was saved, refused or not kept. This room knows nothing of code or notebooks;
`cells` tells it that a safe point is reached and how that point is called.
"""

from __future__ import annotations

from colab_guard.snapshots.engine import Engine
from colab_guard.snapshots.files import FolderWatch
from colab_guard.snapshots.leaving import Leaving, Stopped
from colab_guard.snapshots.position import Position
from colab_guard.snapshots.schedule import Schedule
from colab_guard.snapshots.units import UnitRecord

__all__ = ["Engine", "FolderWatch", "Leaving", "Position", "Schedule", "Stopped", "UnitRecord"]
