"""Sweeps: many runs over parameters, each known by the hash of them.

What enters: parameters, and what the user's loop logs and saves. What leaves: unit records for commits, and results,
plots and files derived from them. There is no ledger beside the commits: in a checkpointed cell a run is finished when
its unit-end commit is saved. A live `Sweep` adopts committed runs by their keys, so a grid may be edited: finished
runs stay, added ones run, removed ones are kept and hidden. With `isolate=True` a run's function is called in a process of
its own (`apart`): given by files, shown as it comes, and handed back as the run's record and files for that same commit.
"""

from __future__ import annotations

from colab_guard.sweep.memory import watch as watch_memory
from colab_guard.sweep.params import grid, key_of
from colab_guard.sweep.policy import SweepPolicy, adopt, note_change, policy_factory, unfinished, went_back
from colab_guard.sweep.registry import sweep_of
from colab_guard.sweep.run import Run
from colab_guard.sweep.sweep import Sweep

__all__ = [
    "Run",
    "Sweep",
    "SweepPolicy",
    "adopt",
    "grid",
    "key_of",
    "note_change",
    "policy_factory",
    "sweep_of",
    "unfinished",
    "watch_memory",
    "went_back",
]
