"""Reducers for numpy: arrays as views of memory blocks, arrays of objects by their items, memory maps by file.

Every array is rebuilt over its block at its own offset, so views and bases, and tensors over the same memory, go on
sharing. An array that is alone on its memory owns it again; views of an array that owns its memory are views of that one.
One of a subclass (masked, recarray, the notebook's own) is its plain array seen as that class, with its attributes put
back last; only where the class has a reduction of its own, that is taken. A row of a structured array is a view too.
"""

from __future__ import annotations

import array as stdlib_array
import copyreg
import sys
from typing import TYPE_CHECKING, Any

from colab_guard.errors import CannotResume
from colab_guard.state import instances
from colab_guard.state.blocks import SMALL_BYTES
from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler, Reducing

OWN_WAYS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")
MAPS_OWN = ("_mmap", "filename", "offset", "mode")


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
    if _is_map(array):
        return _reduce_map(array)
    if kind not in (numpy.ndarray, numpy.memmap):
        return _reduce_subclass(pickler, array) if _leaves_it_to_numpy(kind) and _plain(array).dtype.kind != "T" else NotImplemented
    if array.dtype.kind == "T":
        return NotImplemented
    owner = _owner(array)
    if isinstance(owner, numpy.ndarray) and _plain(owner).dtype.hasobject:
        return _reduce_objects(array, owner)
    if owner is not array and _is_map(owner) and owner.flags.forc:
        return rebuild_view_of_map, (owner, *_look(array, owner), kind is numpy.memmap)
    torch = sys.modules.get("torch")
    if owner is not array and type(owner) is numpy.ndarray and owner.flags.owndata and owner.flags.forc and owner.flags.writeable:
        return rebuild_view, (owner, *_look(array, owner))
    if torch is not None and isinstance(owner, torch.Tensor):
        storage = owner.untyped_storage()
        block = pickler.blocks.at("cpu", storage.data_ptr(), storage.nbytes(), storage, torch=True)
    else:
        low, high = span(_plain(owner))
        block = pickler.blocks.at("cpu", low, high - low, owner, torch=False)
    _describe(pickler, block, array)
    offset = _address(array) - block.address if block.nbytes and array.size else 0
    return rebuild_array, (block, array.dtype, array.shape, array.strides, offset, array.flags.writeable)


def note_what_comes_apart(pickler: Reducing) -> None:
    """Name arrays over a bytearray that was pickled too (`numpy.frombuffer(raw)`): each comes back with memory of its own."""
    below = [(_exporter(block.owner), block.owner) for block in pickler.blocks.by_place.values() if not block.torch]
    over = [(exporter, array) for exporter, array in below if isinstance(exporter, (bytearray, stdlib_array.array))]
    memo = pickler.memo.copy() if over else {}
    for exporter, array in over:
        if id(exporter) in memo:
            whose = pickler.path_of(exporter)
            pickler.note_loss(array, f"it shows the memory of {whose} (a {type(exporter).__name__}), and comes back apart from it")


def _exporter(array: Any) -> Any:
    """What an array was made over, where that is no array."""
    base = getattr(array, "base", None)
    return base.obj if isinstance(base, memoryview) else base


def _look(array: Any, owner: Any) -> tuple[Any, ...]:
    return array.dtype, array.shape, array.strides, _address(array) - _address(owner), array.flags.writeable


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
        base = numpy.ndarray.base.__get__(array)
        if torch is not None and isinstance(base, torch.Tensor):
            return base
        while type(base).__name__ == "DummyArray" and array.dtype.hasobject:  # what `as_strided` looks through
            base = base.base
        if not isinstance(base, numpy.ndarray):
            return array
        array = base


def _plain(array: Any) -> Any:
    """`array` without what its class makes of its attributes: those of a recarray may be its fields."""
    import numpy

    return array if type(array) is numpy.ndarray else numpy.ndarray.view(array, numpy.ndarray)


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def rebuild_array(
    block: Any,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
    writeable: bool,
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
    if not writeable:
        array.flags.writeable = False
    return array


def rebuild_view(owner: Any, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, writeable: bool) -> Any:
    import numpy

    if 0 in shape:
        array: Any = numpy.empty(shape, dtype)
    else:
        sealed = writeable and not owner.flags.writeable  # since the view was made
        owner.flags.writeable = owner.flags.writeable or sealed
        array = numpy.ndarray(shape, dtype, _plain(owner).reshape(-1, order="A"), offset, strides)
        owner.flags.writeable = owner.flags.writeable and not sealed
    if not writeable:
        array.flags.writeable = False
    return array


def _reduce_objects(array: Any, owner: Any) -> Any:
    """Items by value; a view by the array whose memory it is, so that both go on holding the same items."""
    if owner is array:
        return rebuild_objects, _as_made(array), (_items(array), array.flags.writeable), None, None, set_objects
    if not _plain(owner).flags.forc:
        raise CannotKeep("a view of an array of objects whose axes were swapped when it was made cannot be kept; use a copy()")
    return rebuild_view, (owner, *_look(array, owner))


def _as_made(array: Any) -> tuple[Any, tuple[int, ...], str]:
    return array.dtype, array.shape, "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"


def _items(array: Any) -> list[Any]:
    items: list[Any] = array.ravel(order="A").tolist()
    return items


def rebuild_objects(dtype: Any, shape: tuple[int, ...], order: Any, cls: Any = None) -> Any:
    import numpy

    array = numpy.empty(shape, dtype, order)
    return array if cls is None else rebuild_subclass(cls, array)


def set_objects(array: Any, state: tuple[list[Any], bool]) -> None:
    items, writeable = state
    flat = _plain(array).reshape(-1, order="A")
    for index, item in enumerate(items):
        flat[index] = item
    if not writeable:
        array.flags.writeable = False


def _reduce_subclass(pickler: GraphPickler, array: Any) -> Any:
    plain = _plain(array)
    pickler.name(plain, pickler.label(array))
    attributes = instances.attributes_of(pickler, array)
    if plain.dtype.hasobject and _owner(array) is array:
        state = (_items(plain), plain.flags.writeable, attributes)
        return rebuild_objects, (*_as_made(plain), type(array)), state, None, None, set_objects_of_subclass
    return rebuild_subclass, (type(array), plain), attributes, None, None, set_attributes


def _leaves_it_to_numpy(kind: Any) -> bool:
    """Whether no class between it and numpy's own says how its arrays travel."""
    import numpy

    known = (object, numpy.ndarray, getattr(sys.modules.get("numpy.ma"), "MaskedArray", numpy.ndarray))
    own = [base for base in kind.__mro__ if base not in known]
    return kind not in copyreg.dispatch_table and not any(way in vars(base) for base in own for way in OWN_WAYS)


def rebuild_subclass(cls: Any, plain: Any) -> Any:
    """`plain` seen as `cls`; its `__array_finalize__` is told of no other array, as when numpy unpickles."""
    import numpy

    if plain.size == 0:
        return numpy.ndarray.__new__(cls, plain.shape, plain.dtype)
    memory = plain
    while isinstance(memory.base, numpy.ndarray):
        memory = memory.base
    offset = _address(plain) - _address(memory)
    array = numpy.ndarray.__new__(cls, plain.shape, plain.dtype, memory.reshape(-1, order="A"), offset, plain.strides)
    if not plain.flags.writeable:
        array.flags.writeable = False
    return array


def set_attributes(array: Any, attributes: Any) -> None:
    """Those of the snapshot, and none that `__array_finalize__` has given it now."""
    if type(array).__dictoffset__:
        object.__getattribute__(array, "__dict__").clear()
    instances.set_attributes(array, attributes)


def set_objects_of_subclass(array: Any, state: tuple[list[Any], bool, Any]) -> None:
    set_attributes(array, state[2])
    set_objects(array, state[:2])


def reduce_row(pickler: GraphPickler, row: Any) -> Any:
    """A row of a structured array, which looks into that array's memory."""
    import numpy

    owner = _owner(row.base) if isinstance(row.base, numpy.ndarray) else None
    if not isinstance(owner, numpy.ndarray) or isinstance(owner, numpy.memmap) or row.dtype.itemsize == 0:
        return NotImplemented
    if not _plain(owner).flags.forc:
        raise CannotKeep("a row of an array whose axes were swapped when it was made cannot be kept; use a copy()")
    flat = _plain(owner).reshape(-1, order="A")
    return rebuild_row, (numpy.ndarray((), row.dtype, flat, _address(row) - _address(owner), ()),)


def rebuild_row(cell: Any) -> Any:
    return cell[()]


def _is_map(array: Any) -> bool:
    """Whether it is a mapped file, which is not copied; a view of one is not."""
    import numpy

    mapped = isinstance(array, numpy.memmap) and array.filename is not None and array.mode != "c"
    return mapped and not isinstance(array.base, numpy.ndarray)


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


def rebuild_view_of_map(
    owner: Any, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, writeable: bool, as_map: bool
) -> Any:
    import numpy

    view = rebuild_view(owner, dtype, shape, strides, offset, writeable)
    if as_map:
        view = view.view(numpy.memmap)
        for name in MAPS_OWN:
            setattr(view, name, getattr(owner, name))
    return view


def reduce_random_state(pickler: GraphPickler, generator: Any) -> Any:
    """numpy's global generator stays that; its state belongs to `random_state`."""
    import numpy

    if generator is numpy.random.mtrand._rand:
        return getattr, (numpy.random.mtrand, "_rand")
    return NotImplemented
