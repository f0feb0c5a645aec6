"""Reducer for `memoryview`: made again over the very object that it looks into, so that both go on sharing its bytes."""

from __future__ import annotations

import ctypes
import gc
import io
import math
from typing import TYPE_CHECKING, Any

from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

READ_ANY_LAYOUT = 0x11C
"""PyBUF_FULL_RO: with format, shape and strides, writable or not."""
POINTERS = 16
"""Room for a `Py_buffer`, which has ten; the first is the address."""

Look = tuple[str, int, tuple[int, ...], tuple[int, ...], int]
"""Format, bytes of an item, shape, strides, and at which byte of the object the view begins."""


def reduce_memoryview(pickler: GraphPickler, view: memoryview) -> Any:
    try:
        below: Any = view.obj
    except ValueError:
        return released, ()
    look = (*_layout(view), address_of(view) - address_of(below))
    try:
        again = _looking(memoryview(below), look)
    except (TypeError, ValueError) as error:
        raise CannotKeep(f"a memoryview of this layout cannot be made again ({error})") from error
    if _layout(again) != _layout(view) or address_of(again) != address_of(view):
        raise CannotKeep("a memoryview of this layout cannot be made again")
    held: Any = below
    way = ""
    if type(below).__name__ == "_BytesIOBuffer":
        held, way = next(part for part in gc.get_referents(below) if isinstance(part, io.BytesIO)), "getbuffer"
    return rebuild_memoryview, (held, way, look, view.readonly)


def address_of(exporter: Any) -> int:
    """Where the memory begins that an object gives views of."""
    buffer = (ctypes.c_void_p * POINTERS)()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(exporter), buffer, ctypes.c_int(READ_ANY_LAYOUT))
    address = buffer[0] or 0
    ctypes.pythonapi.PyBuffer_Release(buffer)
    return address


def _layout(view: memoryview) -> tuple[str, int, tuple[int, ...], tuple[int, ...]]:
    return view.format, view.itemsize, tuple(view.shape or ()), tuple(view.strides or ())


def rebuild_memoryview(held: Any, way: str, look: Look, readonly: bool) -> Any:
    from colab_guard.state.pickler import Placeholder

    if isinstance(held, Placeholder):  # which says what is lost
        return held
    view = _looking(getattr(held, way)() if way else memoryview(held), look)
    return view.toreadonly() if readonly else view


def _looking(whole: memoryview, look: Look) -> memoryview:
    form, size, shape, strides, offset = look
    if offset == 0 and _layout(whole) == look[:-1]:
        return whole
    flat: Any = whole.cast("B")
    if len(shape) != 1:
        return flat[offset : offset + math.prod(shape) * size].cast(form, shape)  # type: ignore[no-any-return]
    (count,), (stride,) = shape, strides
    length = (count - 1) * abs(stride) + size if count else 0
    low = offset if stride > 0 or not count else offset + size - length
    items = flat[low : low + length].cast(form)
    return items if stride == size else items[:: stride // size]  # type: ignore[no-any-return]


def released() -> memoryview:
    view = memoryview(b"")
    view.release()
    return view
