"""Why a kernel died, as far as this machine knows: its exit status, and the kernel's own count of killings for memory."""

from __future__ import annotations

import signal
from pathlib import Path

from colab_guard.cli.kernel import KernelDied

COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))

_before: dict[Path, int] = {}


def oom_kills(path: Path) -> int:
    """How many processes the system has killed for memory in this control group; 0 where it does not count."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def note_counters() -> None:
    """Remember the counts now, to see later whether they grew."""
    for path in COUNTERS:
        _before[path] = oom_kills(path)


def why_it_died(death: KernelDied) -> str:
    """In words, with what is certain first."""
    grew = any(oom_kills(path) > _before.get(path, 0) for path in COUNTERS)
    note_counters()
    if grew:
        return "the system killed it because memory was full"
    if death.status is None:
        return "for a reason that is not known"
    if death.status >= 0:
        return f"it ended by itself with status {death.status}"
    name = signal.Signals(-death.status).name
    hint = "; SIGKILL is also what a full memory looks like" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


note_counters()
