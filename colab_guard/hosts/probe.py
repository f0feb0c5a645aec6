"""How much memory there is and how much is used: host (cgroups v2 and v1, /proc) and GPU."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

V1_UNLIMITED = 2**62


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Bytes on one GPU: torch's allocated and reserved, what others (and the context) use, and the total."""

    allocated: int
    reserved: int
    other: int
    total: int


class MemoryProbe(Protocol):
    """Where memory figures come from."""

    def host_limit(self) -> int:
        """Bytes that this process may use in all."""

    def host_used(self) -> int:
        """Bytes in use that cannot be had back."""

    def gpu(self) -> GpuMemory | None:
        """The current GPU, or None."""


class SystemProbe:
    """The real machine; `root` stands for `/` in tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def host_limit(self) -> int:
        limits = [psutil.virtual_memory().total if self._root == Path("/") else self._meminfo("MemTotal")]
        for folder in self._groups():
            limits += [value for value in (_number(folder / "memory.max"),) if value is not None]
        old = _number(self._root / "sys/fs/cgroup/memory/memory.limit_in_bytes")
        if old is not None and old < V1_UNLIMITED:
            limits.append(old)
        return min(limits)

    def host_used(self) -> int:
        # the figure that goes with `host_limit`: that of the group whose limit is the lowest
        limited = [(value, f) for f in self._groups() if (value := _number(f / "memory.max")) is not None]
        if limited:
            lowest, folder = min(limited, key=lambda pair: pair[0])
            current = _number(folder / "memory.current")
            if current is not None and lowest <= self.host_limit():
                return current - _stat(folder / "memory.stat", "inactive_file")
        old = self._root / "sys/fs/cgroup/memory"
        limit, used = _number(old / "memory.limit_in_bytes"), _number(old / "memory.usage_in_bytes")
        if limit is not None and used is not None and limit <= self.host_limit():
            return used - _stat(old / "memory.stat", "total_inactive_file")
        return self._meminfo("MemTotal") - self._meminfo("MemAvailable")

    def gpu(self) -> GpuMemory | None:
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
            return None
        free, total = torch.cuda.mem_get_info()
        reserved = torch.cuda.memory_reserved()
        return GpuMemory(torch.cuda.memory_allocated(), reserved, max(total - free - reserved, 0), total)

    def _groups(self) -> list[Path]:
        """This process's cgroup v2 folder and those above it, innermost first."""
        top = self._root / "sys/fs/cgroup"
        try:
            lines = (self._root / "proc/self/cgroup").read_text().splitlines()
        except OSError:
            return []
        inner = next((line.split("::", 1)[1] for line in lines if "::" in line), None)
        if inner is None:
            return []
        folder = top / inner.strip("/")
        return [folder, *(p for p in folder.parents if p == top or top in p.parents)]

    def _meminfo(self, name: str) -> int:
        if not (self._root / "proc/meminfo").exists():
            memory = psutil.virtual_memory()
            return int(memory.total if name == "MemTotal" else memory.available)
        for line in (self._root / "proc/meminfo").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        return 0


@dataclass(slots=True)
class FakeProbe:
    """Memory figures as a test sets them, in bytes."""

    limit: int = 16 * 2**30
    used: int = 2**30
    gpu_memory: GpuMemory | None = None

    def host_limit(self) -> int:
        return self.limit

    def host_used(self) -> int:
        return self.used

    def gpu(self) -> GpuMemory | None:
        return self.gpu_memory


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _stat(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
