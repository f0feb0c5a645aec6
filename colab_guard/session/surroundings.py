"""What decides about bits besides code and values: Python, libraries, devices, threads. And what differs on a resume.

A difference is no error: restored state is bit-equal always. It is named once, and every later commit of the run carries
it, because what follows may differ in its last bits from what would have followed on the first machine.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

DECIDE_BITS = {
    "torch": "torch",
    "numpy": "numpy",
    "transformers": "transformers",
    "peft": "peft",
    "accelerate": "accelerate",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "torchvision": "torchvision",
    "jax": "jax",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "lightning": "lightning",
    "pytorch-lightning": "pytorch_lightning",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
}
"""Libraries whose version decides about bits, with their modules' names."""
VERSIONS_OF = ("colab_guard", "pandas", *DECIDE_BITS)
VECTORS = ("avx512f", "avx2", "avx", "sve", "asimd")
"""A processor's vector instructions, the widest first: torch and numpy choose their kernels by them, and so the last bits."""
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""What sets the threads of numpy's matrix products; without it they are as many as the cores."""


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide about bits, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def facts() -> dict[str, Any]:
    """What holds now: libraries in use; where torch is imported, its threads, and the GPUs it uses. Imports nothing."""
    found: dict[str, Any] = {
        "implementation": platform.python_implementation(),
        "machine": platform.machine(),
        "vectors": _vectors(),
        "blas": _blas_threads(),
        "used": [name for name, module in DECIDE_BITS.items() if module in sys.modules],
        "hash seed": hash_seed(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        found["threads"] = torch.get_num_threads()
        found["devices"] = _devices_in_use(torch)
    return found


def hash_seed() -> str:
    """PYTHONHASHSEED of this kernel: a number; or "random", where none was set and texts have hashes of their own here."""
    told = os.environ.get("PYTHONHASHSEED", "")
    return told if told.isdigit() else "random"


def differences(meta: Mapping[str, Any]) -> list[str]:
    """How this machine and these versions differ from those of a commit, in words; imports torch if the commit used it.

    Another hash seed is not among them: which sets it puts into another order is known when they are back.
    """
    committed, here = meta.get("surroundings", {}), versions()
    if "threads" not in committed or "torch" not in here:
        return compare(meta.get("versions", {}), committed, here, facts())
    torch = __import__("torch")
    devices = _devices_in_use(torch, all_of_them=True) if committed.get("devices") else {}
    return compare(meta.get("versions", {}), committed, here, facts() | {"devices": devices})


def compare(
    old_versions: Mapping[str, str], old: Mapping[str, Any], new_versions: Mapping[str, str], new: Mapping[str, Any]
) -> list[str]:
    found: list[str] = []
    before, here = (_minor(v.get("python", "")) for v in (old_versions, new_versions))
    if before and before != here:
        found.append(f"Python {before} → {here}")
    for key, words in (("implementation", "Python"), ("machine", "processor")):
        if key in old and old[key] != new.get(key):
            found.append(f"{words} {old[key]} → {new.get(key)}")
    for name in old.get("used", ()):
        was, is_ = old_versions.get(name), new_versions.get(name)
        if was is not None and was != is_:
            found.append(f"{name} {was} → {is_ or 'not installed'}")
    for device, was in old.get("devices", {}).items():
        is_ = new.get("devices", {}).get(device)
        if was != is_:
            found.append(f"{device} {was} → {is_ or 'CPU'}")
    numerical = set(old.get("used", ())) & set(DECIDE_BITS)
    if numerical and "vectors" in old and old["vectors"] != new.get("vectors") and old.get("machine") == new.get("machine"):
        found.append(f"the processor's vector instructions {old['vectors']} → {new.get('vectors')}")
    if numerical and "blas" in old and "threads" not in old and old["blas"] != new.get("blas"):
        found.append(f"threads of matrix products {old['blas']} → {new.get('blas')}")
    if "threads" in old and not old.get("threads kept") and old["threads"] != new.get("threads"):
        found.append(f"torch's threads {old['threads']} → {new.get('threads', 'n/a')}")
    return found


@lru_cache
def _vectors() -> str:
    try:
        flags = set(re.findall(r"^(?:flags|Features)\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[0].split())
    except (OSError, IndexError):
        return "n/a"
    return next((word for word in VECTORS if word in flags), "none")


def _blas_threads() -> str:
    told = next((os.environ[name] for name in BLAS_THREADS if os.environ.get(name)), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return told or str(cores)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _devices_in_use(torch: Any, *, all_of_them: bool = False) -> dict[str, str]:
    """Names of GPUs, of those alone that hold memory of this process; wakes none up unless asked for `all_of_them`."""
    found = {}
    for kind in ("cuda", "xpu"):
        module = getattr(torch, kind, None)
        if module is None or not module.is_available() or not (all_of_them or module.is_initialized()):
            continue
        for number in range(module.device_count()):
            if all_of_them or module.memory_reserved(number):
                found[f"{kind}:{number}"] = module.get_device_name(number)
    return found
