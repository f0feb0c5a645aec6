"""The live sweeps of this process by name: what a snapshot's references mean."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from colab_guard.errors import CannotResume

if TYPE_CHECKING:
    from colab_guard.sweep.run import Run
    from colab_guard.sweep.sweep import Sweep

places: list[str] = []
"""The NAME of the guarded work that runs now or ran last; its working copies of runs are no other work's."""
LIVE: weakref.WeakValueDictionary[str, Sweep] = weakref.WeakValueDictionary()


def live_sweep(name: str) -> Sweep:
    sweep = LIVE.get(name)
    if sweep is None:
        raise CannotResume(f"the snapshot belongs to a sweep: run the cell that makes Sweep({name!r}, ...) first")
    sweep.settle()
    return sweep


def live_run(name: str, key: str, params: dict[str, Any]) -> Run:
    return live_sweep(name).run_by_key(key, params)
