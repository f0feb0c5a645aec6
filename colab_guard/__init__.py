"""Training in notebooks that survives the loss of the tab, the kernel and the machine.

    %load_ext colab_guard
    %keepalive
    %memguard 0.85

    %%checkpointed my-training
    for epoch in range(10):
        ...

This file holds the public names; what stands behind each is imported when it is first used, so that
`import colab_guard` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from colab_guard.errors import GuardError, UserMistake
    from colab_guard.plan import Plan, autoconfig
    from colab_guard.session import guard, microbatches, work
    from colab_guard.state import register_state, unregister_state
    from colab_guard.sweep import Run, Sweep, grid

__version__ = "0.1.0"

__all__ = [
    "GuardError",
    "Plan",
    "Run",
    "Sweep",
    "UserMistake",
    "autoconfig",
    "grid",
    "guard",
    "load_ipython_extension",
    "microbatches",
    "register_state",
    "unload_ipython_extension",
    "unregister_state",
    "work",
]

_HOMES = {
    "GuardError": "errors",
    "Plan": "plan",
    "Run": "sweep",
    "Sweep": "sweep",
    "UserMistake": "errors",
    "autoconfig": "plan",
    "grid": "sweep",
    "guard": "session",
    "microbatches": "session",
    "register_state": "state",
    "unregister_state": "state",
    "work": "session",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by `%load_ext colab_guard`."""
    from colab_guard import extension

    extension.load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Called by `%unload_ext colab_guard`: takes back all that loading and the magics have put in place."""
    from colab_guard import extension

    extension.unload(shell)
