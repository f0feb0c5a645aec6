"""The kernel's heartbeat: a comm of its own, published from a thread.

Front ends that do not know the comm's target ignore it; the message itself is what counts. `ipykernel` 6.17 has its own
`Comm`; from 6.18 on comms are made by the `comm` package, which without a kernel gives one that sends nothing.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

TARGET = "colab_guard.heartbeat"


class Comm(Protocol):
    """What both kinds of comm can do."""

    def send(self, data: Any = None) -> None:
        """Publish a `comm_msg`."""

    def close(self) -> None:
        """Publish a `comm_close`."""


def open_comm(shell: object) -> Comm | None:
    """A comm of the kernel that `shell` runs in; None in a terminal. Publishes a `comm_open`."""
    if getattr(shell, "kernel", None) is None:
        return None
    ipkernel = importlib.import_module("ipykernel.ipkernel")
    if hasattr(ipkernel, "_create_comm"):
        comm: Comm = importlib.import_module("comm").create_comm(target_name=TARGET, data={})
    else:
        comm = importlib.import_module("ipykernel.comm").Comm(target_name=TARGET, data={})
    return comm


def hears_while_busy() -> bool:
    """Whether a browser's message can arrive while a cell runs (subshells, ipykernel 7 and later)."""
    version = str(getattr(importlib.import_module("ipykernel"), "__version__", "0"))
    return int(version.split(".")[0]) >= 7
