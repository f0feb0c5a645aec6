"""Why a kernel died, as far as this machine knows: its exit status, the system's count of kills for memory, the black box."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from colab_guard.cli.kernel import KernelDied
from colab_guard.hosts import blackbox, gauges

BOX_WITHIN_S = 3.0
"""For the sentinel of a kernel to see its end, and to write down what it was at."""


class Deaths:
    """Looks at deaths of kernels that were started since this was made."""

    def __init__(self) -> None:
        self._kills = gauges.oom_kills()

    def why(self, death: KernelDied) -> str:
        """In words, with what is certain first."""
        before, self._kills = self._kills, gauges.oom_kills()
        grew = gauges.grew(before, self._kills)
        if grew and death.status in (None, -signal.SIGKILL):
            return "the system killed it because memory was full"
        if death.status is None:
            return "for a reason that is not known"
        if death.status >= 0:
            return f"it ended by itself with status {death.status}"
        name = signal.Signals(-death.status).name
        if name != "SIGKILL":
            return f"killed by {name}"
        return f"killed by {name}, {blackbox.NOT_FOR_MEMORY if self._kills else blackbox.LIKE_MEMORY}"


def last_doing(home: Path, pid: int | None) -> str:
    """What the kernel `pid` was at, from its black box; "" where it has none."""
    if pid is None:
        return ""
    until = time.monotonic() + BOX_WITHIN_S
    while True:
        record = blackbox.of(home, pid)
        if record is None or record["end"] is not None or time.monotonic() > until:
            return blackbox.doing(record) if record is not None else ""
        time.sleep(0.05)
