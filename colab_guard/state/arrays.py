"""Reducers for numpy: arrays as views of memory blocks, arrays of objects by their items, memory maps by file.

Every array is rebuilt over its block at its own offset, so views and bases, and tensors over the same memory, go on
sharing. An array that is alone on its memory owns it again; views of an array that owns its memory are views of that one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from colab_guard.errors import CannotResume
from colab_guard.state.blocks import SMALL_BYTES

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler


def reduce_array(pickler: GraphPickler, array: Any) -> Any:
    import numpy

    kind = type(array)
    if kind is numpy.ndarray and array.base is None and array.dtype.kind in "biufc" and array.flags.c_contiguous:
        # alone or under others' views, it begins where its memory begins: most arrays, and there may be very many
        address = array.__array_interface__["data"][0]
        block = pickler.blocks.at("cpu", address, array.nbytes, array, torch=False)
        if array.nbytes >= SMALL_BYTES:
            _describe(pickler, block, array)
        return rebuild_array, (block, array.dtype, array.shape, array.strides, 0, array.flags.writeable)
    if kind not in (numpy.ndarray, numpy.memmap, numpy.recarray, numpy.matrix) or array.dtype.kind == "T":
        return NotImplemented
    mapped = isinstance(array, numpy.memmap) and array.filename is not None and array.mode != "c"
    if mapped and not isinstance(array.base, numpy.ndarray):
        return _reduce_map(array)
    if array.dtype.hasobject:
        return _reduce_objects(array) if kind is numpy.ndarray else NotImplemented
    owner = _owner(array)
    torch = sys.modules.get("torch")
    if owner is not array and type(owner) is numpy.ndarray and owner.flags.owndata and owner.flags.forc and owner.flags.writeable:
        look = (array.dtype, array.shape, array.strides, _address(array) - _address(owner), array.flags.writeable)
        return rebuild_view, (owner, *look, *(() if kind in (numpy.ndarray, numpy.memmap) else (kind,)))
    if torch is not None and isinstance(owner, torch.Tensor):
        storage = owner.untyped_storage()
        block = pickler.blocks.at("cpu", storage.data_ptr(), storage.nbytes(), storage, torch=True)
    else:
        low, high = span(owner)
        block = pickler.blocks.at("cpu", low, high - low, owner, torch=False)
    _describe(pickler, block, array)
    offset = _address(array) - block.address if block.nbytes and array.size else 0
    made = (block, array.dtype, array.shape, array.strides, offset, array.flags.writeable)
    return (rebuild_array, made) if kind in (numpy.ndarray, numpy.memmap) else (rebuild_array, (*made, kind))


def _describe(pickler: GraphPickler, block: Any, array: Any) -> None:
    size = max(array.itemsize, 1)
    block.describe(pickler.label(array), str(array.dtype), array.shape, tuple(step // size for step in array.strides))


def span(array: Any) -> tuple[int, int]:
    """The address range that an array looks into."""
    import numpy

    helpers = getattr(numpy.lib, "array_utils", numpy)
    low, high = helpers.byte_bounds(array) if array.size else (_address(array), _address(array))
    return int(low), int(high)


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
    block: Any,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
    writeable: bool,
    cls: Any = None,
) -> Any:
    import numpy

    array: Any
    if 0 in shape or not block.nbytes:
        array = numpy.empty(shape, dtype)
    elif block.group.sole and not block.group.of_torch:
        seen: Any = numpy.ndarray(shape, dtype, block.group.data, offset, strides)
        whole = seen.flags.forc and seen.nbytes == block.nbytes
        array = seen.copy("K") if whole else numpy.ndarray(shape, dtype, block.array, offset, strides)
    else:
        array = numpy.ndarray(shape, dtype, block.array, offset, strides)
    return _as_it_was(array, writeable, cls)


def rebuild_view(
    owner: Any, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, writeable: bool, cls: Any = None
) -> Any:
    import numpy

    array: Any = numpy.empty(shape, dtype) if 0 in shape else numpy.ndarray(shape, dtype, owner.reshape(-1, order="A"), offset, strides)
    return _as_it_was(array, writeable, cls)


def _as_it_was(array: Any, writeable: bool, cls: Any) -> Any:
    if cls is not None:
        array = array.view(cls)
    if not writeable:
        array.flags.writeable = False
    return array


def _reduce_objects(array: Any) -> Any:
    """Items by value; a view by its base, so that both go on holding the same items."""
    base = array.base
    if type(base) is type(array) and base.dtype == array.dtype:
        offset = _address(array) - _address(base)
        return rebuild_object_view, (base, array.shape, array.strides, offset)
    made = (array.dtype, array.shape, "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C")
    return rebuild_objects, made, array.ravel(order="A").tolist(), None, None, set_objects


def rebuild_objects(dtype: Any, shape: tuple[int, ...], order: Any) -> Any:
    import numpy

    return numpy.empty(shape, dtype, order)


def set_objects(array: Any, items: list[Any]) -> None:
    flat = array.reshape(-1, order="A")
    for index, item in enumerate(items):
        flat[index] = item


def rebuild_object_view(base: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Any:
    import numpy

    if 0 in shape:
        return numpy.empty(shape, base.dtype)
    start = base.reshape(-1, order="A")[offset // base.itemsize :] if offset >= 0 else base
    return numpy.lib.stride_tricks.as_strided(start, shape, strides)


def _reduce_map(array: Any) -> Any:
    if array.mode != "r":
        array.flush()
    order = "C" if array.flags.c_contiguous else "F"
    return rebuild_map, (str(array.filename), array.dtype, array.mode, array.offset, array.shape, order)


def rebuild_map(filename: str, dtype: Any, mode: str, offset: int, shape: tuple[int, ...], order: Any) -> Any:
    import numpy

    try:
        return numpy.memmap(filename, dtype, "r+" if mode == "w+" else mode, offset, shape, order)  # type: ignore[call-overload]
    except (OSError, ValueError) as error:
        raise CannotResume(f"the snapshot maps the file {filename}, which cannot be mapped here: {error}") from error


def reduce_random_state(pickler: GraphPickler, generator: Any) -> Any:
    """numpy's global generator stays that; its state belongs to `random_state`."""
    import numpy

    if generator is numpy.random.mtrand._rand:
        return getattr, (numpy.random.mtrand, "_rand")
    return NotImplemented
