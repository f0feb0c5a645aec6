"""Hashes of memory: tensors, arrays, tables and buffers; whole up to a limit, else in places chosen by their length alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import blake3

WHOLE_BYTES = 256 * 2**20
"""Bytes of a buffer up to which all of it is hashed (0.05 to 0.1 s)."""
MOST_BYTES = 2**30
"""Bytes of all buffers of one value that are hashed whole; those that come later are looked at in places."""
PLACES, PLACE_BYTES = 64, 64 * 1024
ROWS = 20_000
"""Rows of a table that are looked at."""


class CannotTell(Exception):
    """The object cannot be compared between processes; the text says why."""


class Memory:
    """The part of a look at an object that reads memory. `sampled` says whether anything was looked at in places only."""

    def __init__(self) -> None:
        self.sampled = False
        self._hash = blake3.blake3()
        self._room = MOST_BYTES

    def _feed(self, value: Any, depth: int) -> None:
        raise NotImplementedError

    def _sequence(self, value: Any, depth: int) -> None:
        raise NotImplementedError

    def _put(self, *words: object) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self._hash.update(len(data).to_bytes(8, "little"))
            self._hash.update(data)

    def _memory(self, value: Any, depth: int) -> bool:
        torch, numpy, pandas = (sys.modules.get(name) for name in ("torch", "numpy", "pandas"))
        if torch is not None and isinstance(value, torch.Tensor):
            self._tensor(torch, value)
        elif torch is not None and isinstance(value, torch.Generator):
            self._feed(value.get_state(), depth + 1)
        elif numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
            self._array(numpy, value, depth)
        elif pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series, pandas.Index)):
            self._frame(pandas, value, depth)
        elif _is_hub_dataset(value):
            self._put(value._fingerprint)
        else:
            return False
        return True

    def _tensor(self, torch: Any, value: Any) -> None:
        self._put(value.dtype, tuple(value.shape), value.device.type, value.requires_grad)
        value = value.detach()
        if value.layout is not torch.strided or value.is_quantized or value.device.type == "meta":
            raise CannotTell("it is a sparse, quantized or meta tensor")
        if value.nbytes > WHOLE_BYTES and not value.is_contiguous():
            # a copy in order may not fit: what it looks into is compared, and how it looks
            self._put(tuple(value.stride()), value.storage_offset())
            value = torch.empty(0, dtype=torch.uint8, device=value.device).set_(value.untyped_storage())
        flat = value.contiguous().reshape(-1)
        if flat.is_conj() or flat.is_neg():
            flat = flat.resolve_conj().resolve_neg()
        raw = flat.view(torch.uint8) if flat.numel() else flat.new_empty(0, dtype=torch.uint8)
        if raw.device.type != "cpu" and not self._fits(raw.numel()):
            # only the places leave the device
            raw = torch.cat([raw[start : start + PLACE_BYTES] for start in _places(raw.numel())])
        self._bytes(memoryview(raw.cpu().numpy()))

    def _array(self, numpy: Any, value: Any, depth: int) -> None:
        self._put(value.dtype, value.shape)
        if value.dtype.hasobject:
            self._sequence(value.reshape(-1).tolist(), depth)
            return
        if value.nbytes > WHOLE_BYTES and not value.flags.c_contiguous:
            # a copy in order may not fit
            self.sampled = self.sampled or not value.flags.f_contiguous
            value = value.T if value.flags.f_contiguous else value[: max(1, len(value) // 1000)]
        array = numpy.ascontiguousarray(value)
        self._bytes(memoryview(array.reshape(-1).view(numpy.uint8)) if array.size else memoryview(b""))

    def _frame(self, pandas: Any, value: Any, depth: int) -> None:
        self._put(value.shape, list(value.columns) if value.ndim > 1 else value.name)
        self._put(*map(str, value.dtypes) if value.ndim > 1 else [value.dtype])
        if len(value) > ROWS:
            self.sampled = True
            step = len(value) // ROWS + 1
            value = value[::step] if isinstance(value, pandas.Index) else value.iloc[::step]
        if isinstance(value, pandas.Index):
            hashes = pandas.util.hash_array(value.to_numpy())
        else:
            try:
                hashes = pandas.util.hash_pandas_object(value, index=True).to_numpy()
            except TypeError:  # lists and dictionaries inside
                self._sequence(value.reset_index().to_numpy().reshape(-1).tolist(), depth)
                return
        self._bytes(memoryview(hashes).cast("B"))

    def _bytes(self, data: memoryview) -> None:
        self._put(data.nbytes)
        if self._fits(data.nbytes):
            self._room -= data.nbytes
            self._hash.update(data)
            return
        for start in _places(data.nbytes):
            self._hash.update(data[start : start + PLACE_BYTES])

    def _fits(self, nbytes: int) -> bool:
        """Whether so many bytes are hashed whole; what is no longer than its places always is."""
        if nbytes <= PLACES * PLACE_BYTES or (nbytes <= WHOLE_BYTES and nbytes <= self._room):
            return True
        self.sampled = True
        return False


def _is_hub_dataset(value: Any) -> bool:
    return type(value).__module__.startswith("datasets.") and isinstance(getattr(value, "_fingerprint", None), str)


def _places(nbytes: int) -> Iterator[int]:
    """Where to look in a long buffer: evenly, the first and the last bytes included."""
    last = nbytes - PLACE_BYTES
    return (last * number // (PLACES - 1) for number in range(PLACES))
