"""Sweeps: many runs over parameters, each known by the hash of them.

What enters: parameters, and what the user's loop logs and saves. What leaves: unit records for commits, and results,
plots and files derived from them. There is no ledger beside the commits: in a checkpointed cell a run is finished when
its unit-end commit is saved. A live `Sweep` adopts committed runs by their keys, so a grid may be edited: finished
runs stay, added ones run, removed ones are kept and hidden.
"""

from __future__ import annotations

from colab_guard.sweep.params import grid, key_of
from colab_guard.sweep.policy import SweepPolicy, adopt, policy_factory, unfinished
from colab_guard.sweep.run import Run
from colab_guard.sweep.sweep import Sweep

__all__ = ["Run", "Sweep", "SweepPolicy", "adopt", "grid", "key_of", "policy_factory", "unfinished"]
