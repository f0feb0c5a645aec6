"""A real memory cgroup for tests, of whichever kind this machine lets us make."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class NotPermitted(Exception):
    """No group can be made here."""


@dataclass(frozen=True)
class Group:
    """Processes that are put into it share its limit."""

    folder: Path

    def take(self, pid: int) -> None:
        (self.folder / "cgroup.procs").write_text(str(pid))

    def peak(self) -> int:
        """The most bytes that were in use."""
        names = ("memory.max_usage_in_bytes", "memory.peak")
        return next(int((self.folder / name).read_text()) for name in names if (self.folder / name).exists())


@contextmanager
def memory_group(limit: int) -> Iterator[Group]:
    """A group with `limit` bytes; raises NotPermitted where none can be made."""
    name = f"colab_guard-test-{os.getpid()}-{time.monotonic_ns()}"
    folder, limit_file = (V1 / name, "memory.limit_in_bytes") if (V1 / "memory.limit_in_bytes").exists() else (V2 / name, "memory.max")
    try:
        folder.mkdir()
    except OSError as error:
        raise NotPermitted(str(error)) from error
    try:
        try:
            (folder / limit_file).write_text(str(limit))
        except OSError as error:
            raise NotPermitted(f"{limit_file}: {error}") from error
        yield Group(folder)
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    for _ in range(200):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.05)  # its processes are still on their way out
        else:
            return
