"""Caches that hold memory which nothing uses: those of torch for each kind of device, and the C library's heap."""

from __future__ import annotations

import ctypes
import sys
from typing import Any


def empty_caches(*, alone: bool = True) -> None:
    """Give unused memory back to the devices and to the system; kinds of devices that torch has not begun to use are left alone."""
    torch = sys.modules.get("torch")
    if torch is not None:
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            _empty_cuda(torch, alone)
        xpu = getattr(torch, "xpu", None)
        if xpu is not None and xpu.is_initialized():
            xpu.empty_cache()
        if torch.backends.mps.is_available() and torch.mps.driver_allocated_memory():
            torch.mps.empty_cache()
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _empty_cuda(torch: Any, alone: bool) -> None:
    # private, and absent in some versions: workspaces of cuBLAS (8 MiB and more for each stream), pinned host memory
    # the workspaces' table has no lock in all versions: not while the main thread may be multiplying
    for name in (*(("_cuda_clearCublasWorkspaces",) if alone else ()), "_host_emptyCache"):
        function = getattr(torch._C, name, None)
        if function is not None:
            function()
    torch.cuda.empty_cache()
