"""Reducers for numpy arrays: owners once, views as views, memory shared with tensors as such, memory maps by file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler


def reduce_array(pickler: GraphPickler, array: Any) -> Any:
    import numpy

    if array.dtype.hasobject or type(array) not in (numpy.ndarray, numpy.memmap):
        return NotImplemented
    if isinstance(array, numpy.memmap) and array.filename is not None and not isinstance(array.base, numpy.ndarray):
        return _reduce_map(array)
    owner = _owner(array)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(owner, torch.Tensor):
        storage = owner.untyped_storage()
        block = pickler.blocks.at("cpu", storage.data_ptr(), storage.nbytes(), storage)
        block.torch = block.numpy = True
    else:
        if not (owner.flags.c_contiguous or owner.flags.f_contiguous):
            return NotImplemented
        block = pickler.blocks.at("cpu", _address(owner), owner.nbytes, owner)
        block.numpy = True
        if not block.shape:
            block.dtype, block.shape = str(owner.dtype), tuple(owner.shape)
            block.stride = tuple(step // max(owner.itemsize, 1) for step in owner.strides)
    offset = _address(array) - block.address if block.nbytes else 0
    return rebuild_array, (block, array.dtype, array.shape, array.strides, offset, array.flags.writeable)


def _owner(array: Any) -> Any:
    """The array (or tensor) at the bottom of `array`'s chain of bases whose memory this is."""
    import numpy

    torch = sys.modules.get("torch")
    while True:
        base = array.base
        if torch is not None and isinstance(base, torch.Tensor):
            return base
        if not isinstance(base, numpy.ndarray):
            return array
        array = base


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def rebuild_array(
    block: Any, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, writeable: bool
) -> Any:
    import numpy

    array: Any
    if 0 in shape or not block.buffer:
        array = numpy.empty(shape, dtype)
    else:
        array = numpy.ndarray(shape, dtype, block.buffer, offset, strides)
    if not writeable:
        array.flags.writeable = False
    return array


def _reduce_map(array: Any) -> Any:
    if array.mode == "c":
        return NotImplemented
    if array.mode != "r":
        array.flush()
    order = "C" if array.flags.c_contiguous else "F"
    return rebuild_map, (str(array.filename), array.dtype, array.mode, array.offset, array.shape, order)


def rebuild_map(filename: str, dtype: Any, mode: str, offset: int, shape: tuple[int, ...], order: Any) -> Any:
    import numpy

    return numpy.memmap(filename, dtype, "r+" if mode == "w+" else mode, offset, shape, order)  # type: ignore[call-overload]
