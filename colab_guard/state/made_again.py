"""Reducers for objects that libraries make from little, and do not pickle: they are made again from that."""

from __future__ import annotations

import argparse
import copyreg
import functools
import gc
import random
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from colab_guard.state import instances, things

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

THREADS_OWN = frozenset(vars(threading.Thread(name="ended", daemon=True)))
KEPT_OF_THREADS = ("_name", "_daemonic", "_ident", "_native_id")


def reduce_limits(pickler: GraphPickler, limits: Any) -> Any:
    """`finfo` and `iinfo` of numpy and torch; those of torch say the name of their type only."""
    kind = type(limits)
    dtype = limits.dtype
    return kind, (getattr(sys.modules["torch"], dtype) if isinstance(dtype, str) else dtype,)


def reduce_system_random(pickler: GraphPickler, generator: Any) -> Any:
    return (random.SystemRandom, ()) if type(generator) is random.SystemRandom else NotImplemented


def reduce_comparing_key(pickler: GraphPickler, key: Any) -> Any:
    """What `functools.cmp_to_key` gives: the function, and the value where it is a key already."""
    compare, *value = [part for part in gc.get_referents(key) if part is not type(key)]
    return rebuild_comparing_key, (compare, tuple(value))


def rebuild_comparing_key(compare: Any, value: tuple[Any, ...]) -> Any:
    key: Any = functools.cmp_to_key(compare)
    return key(*value) if value else key


def reduce_thread(pickler: GraphPickler, thread: threading.Thread) -> Any:
    """One that has ended comes back as that, with what is in it besides Python's own."""
    if thread.ident is None or thread.is_alive():
        return things.refuse_always(pickler, thread)
    own = {name: value for name, value in vars(thread).items() if name not in THREADS_OWN or name in KEPT_OF_THREADS}
    return rebuild_ended_thread, (type(thread),), own, None, None, set_own


def rebuild_ended_thread(cls: Any) -> Any:
    """Only a thread that has run has ended in every version's own way: this one runs, and does nothing."""
    thread = cls.__new__(cls)
    threading.Thread.__init__(thread, name="ended", daemon=True)
    thread.run = lambda: None
    thread.start()
    thread.join()
    del thread.run
    return thread


def set_own(thing: Any, own: dict[str, Any]) -> None:
    instances.set_attributes(thing, (own, {}))


def reduce_temporary_file(pickler: GraphPickler, file: Any) -> Any:
    if not file.closed:
        raise things.CannotKeep("a temporary file is gone with its process; open a file of your own")
    return rebuild_temporary_file, (file.file, file.name)


def rebuild_temporary_file(file: Any, name: str) -> Any:
    wrapper: Any = tempfile._TemporaryFileWrapper
    return wrapper(file, name, delete=False)


class _Suppressed:
    """Stands for `argparse.SUPPRESS` in what is pickled: argparse knows it by its identity, and a text loses that."""

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (argparse, "SUPPRESS")


def reduce_of_argparse(pickler: GraphPickler, thing: Any) -> Any:
    """Parsers, groups of arguments and the arguments."""
    own = vars(thing)
    kind = type(thing)
    if not any(value is argparse.SUPPRESS for value in own.values()) or not instances.travels_plainly(kind):
        usual = instances.reducer_for(kind)
        return NotImplemented if usual is None else usual(pickler, thing)
    state = {name: _Suppressed() if value is argparse.SUPPRESS else value for name, value in own.items()}
    return copyreg.__newobj__, (kind,), state  # type: ignore[attr-defined]
