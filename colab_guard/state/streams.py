"""Standard streams: a notebook's own stand for this process's, whoever holds them and whatever `sys.stdout` is now."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

NAMES = ("stdout", "stderr")


def reduce_kernel_stream(pickler: GraphPickler, stream: Any) -> Any:
    name = getattr(stream, "name", None)
    if name not in NAMES:
        raise CannotKeep("an output stream of the kernel that is neither stdout nor stderr cannot be kept")
    return kernel_stream, (name,)


def reduce_process_stream(stream: Any) -> Any:
    """The process's own stream, which a terminal's user writes to; NotImplemented where it is another file."""
    found = next((name for name in NAMES if stream is getattr(sys, f"__{name}__")), None)
    return NotImplemented if found is None else (getattr, (sys, f"__{found}__"))


def kernel_stream(name: str) -> Any:
    """What this kernel gives as `sys.stdout` (`name` "stdout"), though `sys` may have another in its place now."""
    iostream = sys.modules.get("ipykernel.iostream")
    if iostream is None:
        return getattr(sys, f"__{name}__")
    now = getattr(sys, name)
    if isinstance(now, iostream.OutStream):
        return now
    streams = (thing for thing in gc.get_objects() if isinstance(thing, iostream.OutStream) and thing.name == name)
    return next(streams, getattr(sys, f"__{name}__"))
