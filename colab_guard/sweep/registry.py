"""The live sweeps of this process by name: what a snapshot's references mean."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from colab_guard.errors import CannotResume

if TYPE_CHECKING:
    from colab_guard.sweep.run import Run
    from colab_guard.sweep.sweep import Sweep

places: list[str] = []
"""The NAME of the guarded work that runs now or ran last; its working copies of runs are no other work's."""
LIVE: weakref.WeakValueDictionary[str, Sweep] = weakref.WeakValueDictionary()
tell_committed: list[Callable[[Sweep], None]] = []
"""Tells a sweep that is made again what is committed of it, for the guarded work that runs now or ran last."""


def live_sweep(name: Sweep | str) -> Sweep:
    """The live sweep of that name, which is all that earlier snapshots hold of it; a sweep is given back."""
    if not isinstance(name, str):
        return name
    sweep = LIVE.get(name)
    if sweep is None:
        raise CannotResume(f"the snapshot belongs to a sweep: run the cell that makes Sweep({name!r}, ...) first")
    sweep.settle()
    return sweep


def sweep_again(name: str, made: dict[str, Any]) -> Sweep:
    """The live sweep of that name; where the cell itself made it, one made as that was."""
    from colab_guard.sweep.sweep import Sweep

    if name in LIVE:
        return live_sweep(name)
    sweep = Sweep(name, **made)
    sweep.settle()
    for tell in tell_committed:
        tell(sweep)
    return sweep


def sweep_of(call: str, library: Iterable[str]) -> Sweep:
    """The sweep that `Sweep(...)` makes, of constants and `grid`; `library` are names for this one."""
    from colab_guard.sweep.params import grid
    from colab_guard.sweep.sweep import Sweep

    words = {"Sweep": Sweep, "grid": grid}
    made = eval(call, words | dict.fromkeys(library, SimpleNamespace(**words)))
    assert isinstance(made, Sweep)
    return made


def live_run(sweep: Sweep | str, key: str, params: dict[str, Any]) -> Run:
    return live_sweep(sweep).run_by_key(key, params)
