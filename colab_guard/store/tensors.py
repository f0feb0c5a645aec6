"""Buffers of a commit as tensors in a `.safetensors` file, by what the record's table says of them; nothing is unpickled.

A buffer is the memory behind a tensor or an array. Where its shape and stride fit that memory whole, it becomes a tensor
of that shape; a strided one (a transposed weight) is written in the order of its shape. Where they do not (views into a
larger memory, several tensors in one), and where safetensors has no such dtype (complex numbers, texts, records), the
memory is written flat, as it lies, and `how` says so.

The file is written here and not by the package `safetensors`: the format is a header and the bytes, and a commit may be
larger than memory should hold twice.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count, product
from math import prod
from pathlib import Path
from typing import Any

from colab_guard.store.disk import write_whole

DTYPES = {
    "float64": ("F64", 8),
    "float32": ("F32", 4),
    "float16": ("F16", 2),
    "bfloat16": ("BF16", 2),
    "float8_e4m3fn": ("F8_E4M3", 1),
    "float8_e5m2": ("F8_E5M2", 1),
    "int64": ("I64", 8),
    "int32": ("I32", 4),
    "int16": ("I16", 2),
    "int8": ("I8", 1),
    "uint64": ("U64", 8),
    "uint32": ("U32", 4),
    "uint16": ("U16", 2),
    "uint8": ("U8", 1),
    "bool": ("BOOL", 1),
}
"""What a table calls it, what safetensors does, and bytes of an element."""
WHOLE, STRIDED, FLAT, RAW = "whole", "put in order", "flat", "raw bytes"
MOST_DIMENSIONS = 64
ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """One buffer as a tensor: `name` in the file, safetensors' dtype, its shape, bytes, and how it was made of the buffer."""

    name: str
    key: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    how: str


def planned(buffers: Iterable[Mapping[str, Any]]) -> list[Tensor]:
    """What each buffer becomes, with a name of its own: its label, else its key."""
    taken: set[str] = {"__metadata__"}
    made = []
    for buffer in buffers:
        label, key = str(buffer.get("label") or ""), str(buffer["key"])
        names = chain((label, f"{label}@{key}" if label else key), (f"{key}~{n}" for n in count(2)))
        name = next(name for name in names if name and name not in taken)
        taken.add(name)
        made.append(Tensor(name, key, *_form(buffer)))
    return made


def _form(buffer: Mapping[str, Any]) -> tuple[str, tuple[int, ...], int, str]:
    size = int(buffer["size"])
    known = DTYPES.get(str(buffer.get("dtype")))
    if known is None or size % known[1]:
        return "U8", (size,), size, RAW
    dtype, width = known
    shape, stride = _numbers(buffer.get("shape")), _numbers(buffer.get("stride"))
    if shape is None or prod(shape) * width != size:
        return dtype, (size // width,), size, FLAT
    if stride is None or len(stride) != len(shape) or _is_in_order(shape, stride):
        return dtype, shape, size, WHOLE
    fills = sorted(stride) == sorted(_in_order(tuple(shape[n] for n in sorted(range(len(shape)), key=lambda n: -stride[n]))))
    return (dtype, shape, size, STRIDED) if fills else (dtype, (size // width,), size, FLAT)


def _numbers(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, (list, tuple)) or len(value) > MOST_DIMENSIONS:
        return None
    return tuple(value) if all(isinstance(number, int) and 0 <= number < 2**62 for number in value) else None


def _in_order(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[n + 1 :]) for n in range(len(shape)))


def _is_in_order(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Whether elements lie one after the other; the stride of a dimension of one element says nothing."""
    return 0 in shape or all(mine == theirs or n == 1 for mine, theirs, n in zip(stride, _in_order(shape), shape, strict=True))


def write(path: Path, tensors: Iterable[Tensor], read: Callable[[str], bytearray], strides: Mapping[str, Any]) -> None:
    """Write `tensors` as the file `path`; `read` gives a buffer by its key, `strides` those of buffers that are to be put in order."""
    tensors = list(tensors)
    header: dict[str, Any] = {"__metadata__": {"made by": "colab-guard export"}}
    at = 0
    for tensor in tensors:
        header[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [at, at + tensor.size]}
        at += tensor.size
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % ALIGNMENT)

    def pieces() -> Iterable[bytes | bytearray]:
        yield len(told).to_bytes(8, "little") + told
        for tensor in tensors:
            data = read(tensor.key)
            yield _in_place(data, tensor, strides[tensor.key]) if tensor.how == STRIDED else data

    write_whole(path, pieces())


def _in_place(data: bytearray, tensor: Tensor, stride: Any) -> bytes:
    """The elements in the order of the tensor's shape."""
    width = len(data) // prod(tensor.shape)
    numpy = sys.modules.get("numpy") or _imported_numpy()
    if numpy is not None:
        elements = numpy.frombuffer(data, f"V{width}")
        strides = [step * width for step in stride]
        ordered: bytes = numpy.ascontiguousarray(numpy.lib.stride_tricks.as_strided(elements, tensor.shape, strides)).tobytes()
        return ordered
    view = memoryview(data)
    places = (sum(n * step for n, step in zip(where, stride, strict=True)) * width for where in product(*map(range, tensor.shape)))
    return b"".join(view[place : place + width] for place in places)


def _imported_numpy() -> Any:
    try:
        return __import__("numpy")
    except ImportError:
        return None
