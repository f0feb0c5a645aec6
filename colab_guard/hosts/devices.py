"""The devices that torch can use here, and whether they work."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Device:
    """A device: `total` and `free` bytes of its memory; `capability` is CUDA's (major, minor); `bf16` without emulation.

    `held`: bytes that this process's allocator has taken of it, whether tensors use them or not.
    """

    kind: Literal["cpu", "cuda", "mps", "xpu"]
    name: str
    total: int
    free: int
    capability: tuple[int, int] | None = None
    bf16: bool = False
    index: int = 0
    held: int = 0


def devices(*, import_torch: bool = False) -> list[Device]:
    """Accelerators that really work, and the CPU last. Looks for them only where torch is imported, or may be."""
    torch = sys.modules.get("torch")
    if torch is None and import_torch:
        torch = __import__("torch")
    found: list[Device] = []
    if torch is not None and torch.cuda.is_available():
        found = [device for n in range(torch.cuda.device_count()) if (device := _cuda(torch, n)) is not None]
    return [*found, _cpu()]


def _cuda(torch: Any, number: int) -> Device | None:
    capability = tuple(torch.cuda.get_device_capability(number))
    if not _works(torch, number, capability):
        return None
    free, total = torch.cuda.mem_get_info(number)
    name = torch.cuda.get_device_name(number)
    held = torch.cuda.memory_reserved(number)
    return Device("cuda", name, total, free, capability, bf16=capability >= (8, 0), index=number, held=held)


def _works(torch: Any, number: int, capability: tuple[int, ...]) -> bool:
    """`is_available()` is true on GPUs that this build has no code for (Kaggle's P100): try a tiny product."""
    names = torch.cuda.get_arch_list()
    majors = {int(found[1]) for name in names if (found := re.fullmatch(r"sm_(\d+)\d[a-z]?", name))}
    portable = any(int(found[1]) <= capability[0] for name in names if (found := re.fullmatch(r"compute_(\d+)\d", name)))
    if majors and capability[0] not in majors and not portable:
        return False
    try:
        one = torch.ones(8, 8, device=f"cuda:{number}")
        return bool((one @ one).sum().item() == 512.0)
    except RuntimeError:
        return False


def _cpu() -> Device:
    from colab_guard.hosts.probe import SystemProbe

    probe = SystemProbe()
    limit = probe.host_limit()
    return Device("cpu", "CPU", limit, max(limit - probe.host_used(), 0))
