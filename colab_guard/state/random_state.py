"""Random state outside the user's objects: Python's, numpy's legacy one, torch's on the CPU and every device in use."""

from __future__ import annotations

import importlib
import random
import struct
import sys
from typing import Any


def random_state() -> dict[str, Any]:
    """All global random state of the libraries that are imported; copies, in a form that can be captured."""
    version, words, normal = random.getstate()
    # as bytes: of hundreds of numbers a pickle holds each by itself
    found: dict[str, Any] = {"python": (version, struct.pack(f"<{len(words)}I", *words), normal)}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        found["numpy"] = numpy.random.get_state()
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = torch.get_rng_state()
        for kind in ("cuda", "xpu"):
            module = getattr(torch, kind, None)
            if module is not None and module.is_available() and module.is_initialized():
                found[f"torch.{kind}"] = module.get_rng_state_all()
        if getattr(torch.backends, "mps", None) is not None and torch.backends.mps.is_available():
            found["torch.mps"] = torch.mps.get_rng_state()
    return found


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` gave; a library that it names is imported if need be."""
    version, words, normal = state["python"]
    # older snapshots have the numbers
    random.setstate((version, struct.unpack(f"<{len(words) // 4}I", words) if isinstance(words, bytes) else words, normal))
    if "numpy" in state:
        importlib.import_module("numpy").random.set_state(state["numpy"])
    if "torch" not in state:
        return
    torch = importlib.import_module("torch")
    torch.set_rng_state(state["torch"])
    for kind in ("cuda", "xpu"):
        if f"torch.{kind}" in state and getattr(torch, kind).is_available():
            module = getattr(torch, kind)
            # of devices that are not here nothing can be set; that they are not is told where devices are compared
            for number, one in enumerate(state[f"torch.{kind}"][: module.device_count()]):
                module.set_rng_state(one, number)
    if "torch.mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["torch.mps"])
