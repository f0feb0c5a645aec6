"""What a value is, in words for people."""

from __future__ import annotations

from typing import Any


def describe(value: Any) -> str:
    """What a value is, in a few words: "array (1797, 64) float64"."""
    kind = type(value)
    if isinstance(value, (str, bytes)):
        return f"text of {len(value):,} characters" if isinstance(value, str) else f"{len(value):,} bytes"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        if kind.__module__.startswith("pandas"):
            return f"{kind.__name__} {' × '.join(format(n, ',') for n in shape)}"
        name = {"ndarray": "array", "Tensor": "tensor", "Parameter": "parameter"}.get(kind.__name__, kind.__name__)
        return f"{name} {tuple(map(int, shape))} {str(getattr(value, 'dtype', '')).removeprefix('torch.')}".rstrip()
    if kind in (list, tuple, dict, set, frozenset) or is_data(value):
        return f"{kind.__name__} of {len(value):,}"
    return kind.__name__


def is_data(value: Any) -> bool:
    """Whether people would call it data: containers, texts, arrays, tensors, tables."""
    kind = type(value)
    if kind in (list, tuple, dict, set, frozenset, str, bytes, bytearray):
        return True
    if kind.__module__.startswith("datasets.") and hasattr(value, "_fingerprint"):
        return True
    return kind.__module__.split(".")[0] in ("numpy", "torch", "pandas", "scipy") and hasattr(value, "shape")
