"""A short hash of a value that is the same in every process, to notice that an input has changed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from typing import Any

ATOMS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))


def fingerprint(value: Any) -> str | None:
    """Hex hash of plain values, containers of them, arrays and tensors; None for what cannot be told cheaply."""
    digest = hashlib.blake2b(digest_size=16)
    return digest.hexdigest() if _feed(value, digest.update, 0) else None


def _feed(value: Any, update: Callable[[bytes], None], depth: int) -> bool:
    if depth > 20:
        return False
    kind = type(value)
    update(kind.__qualname__.encode() + b"|")
    if isinstance(value, ATOMS) or kind is range:
        update(repr(value).encode() + b";")
        return True
    if kind in (list, tuple):
        update(str(len(value)).encode())
        return all(_feed(item, update, depth + 1) for item in value)
    if kind is dict:
        update(str(len(value)).encode())
        return all(_feed(k, update, depth + 1) and _feed(v, update, depth + 1) for k, v in value.items())
    if kind in (set, frozenset):
        parts = [fingerprint(item) for item in value]
        update("".join(sorted(part for part in parts if part)).encode())
        return None not in parts
    return _feed_array(value, update)


def _feed_array(value: Any, update: Callable[[bytes], None]) -> bool:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and value.layout is torch.strided:
        update(f"{value.dtype}{tuple(value.shape)}".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
        return True
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)) and not value.dtype.hasobject:
        array = numpy.ascontiguousarray(value)
        update(f"{array.dtype}{array.shape}".encode())
        update(array.reshape(-1).view(numpy.uint8).data if array.size else b"")
        return True
    return False
