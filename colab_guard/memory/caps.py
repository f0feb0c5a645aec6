"""The cap on what PyTorch reserves of each accelerator's memory, and the allocator's collection threshold below it.

The cap counts what PyTorch's allocator reserves, and nothing else: not the context (some hundred MiB), not other
libraries, not other processes. So it is the share that was asked for, or less where others use the device: what is free
now and what is our own already, less a margin. `lift` puts back what was in force before.

MPS has one device, and no way to ask what was in force: PyTorch's documented default, or the environment's, comes back.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

MARGIN = 0.02
"""Share of a GPU's memory that stays free for what is not torch's: the next context, a library's workspace."""
COLLECT_FROM = 0.8
"""The allocator gives back unused blocks from this share of the cap on (it does so only where a cap is set)."""
MOVED = 0.01
"""A cap is set anew when it would be another by this much."""
THRESHOLD = "garbage_collection_threshold"
CONF = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
MPS_RATIO, MPS_DEFAULT = "PYTORCH_MPS_HIGH_WATERMARK_RATIO", 1.7


@dataclass(frozen=True, slots=True)
class Cap:
    """What is in force on one device: a share of its memory."""

    device: str
    share: float

    def words(self, asked: float) -> str:
        less = f", not at {asked:.0%}, since others use it" if self.share < asked - MOVED else ""
        return f"{self.device} at {self.share:.0%}{less}"


class Caps:
    """`set` may be called again and again; `lift` puts back what was before the first one."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}
        self._now: dict[str, Cap] = {}
        self._settings: str | None = None
        self._collecting = False

    def set(self, fraction: float) -> list[Cap]:
        """Cap each device of torch's at `fraction`, or less where others use it; [] without torch or a device."""
        torch = sys.modules.get("torch")
        if torch is None:
            return []
        found = [cap for kind in ("cuda", "xpu") for cap in self._set_kind(torch, kind, fraction)]
        if _mps_works(torch):
            self._before.setdefault("mps", float(os.environ.get(MPS_RATIO, MPS_DEFAULT)))
            found.append(self._put(Cap("mps", fraction), lambda share: torch.mps.set_per_process_memory_fraction(share)))
        if any(not cap.device.startswith("mps") for cap in found):
            self._collect(torch)
        return found

    def lift(self) -> None:
        torch = sys.modules.get("torch")
        for device, share in self._before.items() if torch is not None else ():
            kind, _, number = device.partition(":")
            arguments = (share, int(number)) if number else (share,)
            getattr(torch, kind).set_per_process_memory_fraction(*arguments)
        if self._settings is not None:
            _set_settings(torch, self._settings)
        self._before.clear()
        self._now.clear()
        self._settings, self._collecting = None, False

    def _set_kind(self, torch: Any, kind: str, fraction: float) -> list[Cap]:
        module = getattr(torch, kind, None)
        if module is None or not module.is_available() or not hasattr(module, "set_per_process_memory_fraction"):
            return []
        caps = []
        for number in range(module.device_count()):
            device = f"{kind}:{number}"
            read = getattr(module, "get_per_process_memory_fraction", None)
            if device not in self._before:
                self._before[device] = float(read(number)) if read is not None else 1.0
            share = min(fraction, _own_share(torch, kind, number))
            caps.append(self._put(Cap(device, share), lambda share, number=number: module.set_per_process_memory_fraction(share, number)))
        return caps

    def _put(self, cap: Cap, setter: Any) -> Cap:
        known = self._now.get(cap.device)
        if known is not None and abs(known.share - cap.share) < MOVED:
            return known
        setter(float(cap.share))
        self._now[cap.device] = cap
        return cap

    def _collect(self, torch: Any) -> None:
        """Let the allocator give back unused blocks early, where this PyTorch takes settings at run time."""
        if self._collecting:
            return
        self._collecting = True
        known = _settings(torch)
        if known is None or THRESHOLD in known or "MallocAsync" in known:
            return  # it takes none, it has one of the user's, or its allocator is another that has none
        _set_settings(torch, f"{known},{THRESHOLD}:{COLLECT_FROM}".lstrip(","))
        self._settings = known


def _own_share(torch: Any, kind: str, number: int) -> float:
    """The share of a device that others leave to us; all but the margin where asking would wake the device up."""
    module = getattr(torch, kind)
    has_context = getattr(getattr(torch, "_C", None), f"_{kind}_hasPrimaryContext", None)
    asleep = has_context is not None and not has_context(number) and number != 0
    if asleep or not hasattr(module, "mem_get_info"):
        return 1.0 - MARGIN
    free, total = module.mem_get_info(number)
    # where others fill the device this could fall below nothing, which torch refuses
    return max((free + module.memory_reserved(number)) / total - MARGIN, MARGIN)


def _mps_works(torch: Any) -> bool:
    backend = getattr(getattr(torch, "backends", None), "mps", None)
    return backend is not None and bool(backend.is_available()) and hasattr(torch.mps, "set_per_process_memory_fraction")


def _settings(torch: Any) -> str | None:
    """The allocator's settings as they are; None where they cannot be set at run time."""
    core: Any = getattr(torch, "_C", None)
    if not hasattr(core, "_accelerator_setAllocatorSettings") or not hasattr(core, "_accelerator_getAllocatorSettings"):
        return None  # older ones can set, and cannot say what was before
    told = core._accelerator_getAllocatorSettings()
    return str(told or next((os.environ[name] for name in CONF if os.environ.get(name)), ""))


def _set_settings(torch: Any, settings: str) -> None:
    """Each call begins with the defaults, so that leaving the threshold out takes it back."""
    torch._C._accelerator_setAllocatorSettings(settings)


def uncapped_words() -> str:
    """Where there is nothing to cap: what this machine computes on, plainly."""
    torch = sys.modules.get("torch")
    if "torch_xla" in sys.modules or os.environ.get("PJRT_DEVICE") == "TPU" or os.environ.get("TPU_NAME"):
        return "a TPU's memory cannot be capped or read by PyTorch"
    if torch is None:
        return "no GPU in use (it is put in force when torch has one)"
    return "no GPU in use: torch computes on the CPU (it is put in force when torch has one)"
