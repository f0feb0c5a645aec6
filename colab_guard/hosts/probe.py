"""How much memory there is and how much is used: host (cgroups v2 and v1, /proc) and GPU."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from colab_guard.hosts.gauges import HostGauge, ProcessGauge


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
    """The real machine; `root` stands for `/` in tests. With `limit`, the memory of this process alone against it, in bytes."""

    def __init__(self, root: Path = Path("/"), *, limit: int | None = None) -> None:
        self.limit = limit
        self._gauge = HostGauge(root=root) if limit is None else ProcessGauge(limit)

    @property
    def from_outside(self) -> bool:
        """Whether another process can read the same figures."""
        return sys.platform.startswith("linux") and self._gauge.works

    def host_limit(self) -> int:
        return self._read()[1]

    def host_used(self) -> int:
        return self._read()[0]

    def gpu(self) -> GpuMemory | None:
        torch = sys.modules.get("torch")
        if torch is None:
            return None
        for kind in ("cuda", "xpu"):
            module = getattr(torch, kind, None)
            if module is not None and module.is_available() and module.is_initialized():
                free, total = module.mem_get_info()
                reserved = module.memory_reserved()
                return GpuMemory(module.memory_allocated(), reserved, max(total - free - reserved, 0), total)
        return _apples(torch)

    def _read(self) -> tuple[int, int]:
        if self._gauge.works:
            return self._gauge.read()
        memory = psutil.virtual_memory()
        return int(memory.total - memory.available), int(memory.total)


def _apples(torch: Any) -> GpuMemory | None:
    """Memory that Apple's GPU shares with the host; what others use of it is not told."""
    backend = getattr(getattr(torch, "backends", None), "mps", None)
    if backend is None or not backend.is_available():
        return None
    mps = torch.mps
    return GpuMemory(mps.current_allocated_memory(), mps.driver_allocated_memory(), 0, mps.recommended_max_memory())


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
