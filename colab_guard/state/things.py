"""Reducers for plain Python's own awkward objects: locks, weak references, exceptions, views, caches, singletons."""

from __future__ import annotations

import functools
import gc
import queue
import random
import threading
import types
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from colab_guard.errors import CannotResume
from colab_guard.state.blocks import RESTORING

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

LOCK_TYPES = (type(threading.Lock()), type(threading.RLock()))
_PLAIN: Any = object
_PLAIN_ERROR: Any = BaseException
ATOMS = (str, int, float, complex, bytes, bool, type(None))
ATOM_TYPES = frozenset(ATOMS)
PLAINLY = object()
"""What a reducer gives where Python's own reduction is to be taken, past cloudpickle's."""

NEVER = {
    "threading.Thread": "a thread in flight cannot be kept",
    "subprocess.Popen": "a running process cannot be kept",
    "multiprocessing.process.BaseProcess": "a running process cannot be kept",
    "multiprocessing.pool.Pool": "running processes cannot be kept",
    "concurrent.futures._base.Executor": "running threads or processes cannot be kept",
    "asyncio.events.AbstractEventLoop": "an event loop cannot be kept",
    "_asyncio.Future": "work in flight cannot be kept",
    "socket.socket": "a connection cannot be kept",
    "_socket.socket": "a connection cannot be kept",
    "builtins.coroutine": "a running coroutine cannot be kept",
    "builtins.async_generator": "a running generator cannot be kept",
    "builtins.frame": "a running frame cannot be kept",
    "torch.cuda.streams.Stream": "a device's stream cannot be kept",
    "torch.cuda.streams.Event": "a device's event cannot be kept",
}


class CannotKeep(Exception):
    """A reducer's way to say that this object cannot be kept; the text is the reason."""


def refuse_always(pickler: GraphPickler, thing: Any) -> Any:
    for base in type(thing).__mro__:
        if reason := NEVER.get(f"{base.__module__}.{base.__qualname__}"):
            raise CannotKeep(reason)
    raise CannotKeep("it cannot be kept")


def reduce_generator(pickler: GraphPickler, generator: Any) -> Any:
    keeper = pickler.live.generators
    if keeper is None:
        raise CannotKeep("a generator cannot be kept here")
    what, place = keeper.parts(generator)
    return make_generator, (what,), place, None, None, fill_generator


def make_generator(what: Any) -> Any:
    keeper = RESTORING.live.generators
    if keeper is None:
        raise CannotResume("the snapshot holds a generator, and generators cannot be made here")
    return keeper.make(what)


def fill_generator(generator: Any, place: Any) -> None:
    keeper = RESTORING.live.generators
    assert keeper is not None  # it has made the generator
    keeper.fill(generator, place)


def reduce_lock(pickler: GraphPickler, lock: Any) -> Any:
    return (threading.Lock if isinstance(lock, LOCK_TYPES[0]) else threading.RLock), ()


def reduce_local(pickler: GraphPickler, local: Any) -> Any:
    return type(local), (), dict(local.__dict__) or None


def reduce_simple_queue(pickler: GraphPickler, line: Any) -> Any:
    if not line.empty():
        raise CannotKeep("what waits in a SimpleQueue cannot be looked at")
    return queue.SimpleQueue, ()


def reduce_weakref(pickler: GraphPickler, reference: Any) -> Any:
    if isinstance(reference, weakref.WeakMethod):
        return rebuild_weak_method, (reference(),)
    if type(reference) is not weakref.ref:
        return NotImplemented
    return rebuild_weakref, (reference(), reference.__callback__)


def rebuild_weakref(target: Any, callback: Any = None) -> Any:
    if target is None:
        # a reference to what is gone: its target lives no longer than this line
        return weakref.ref(set())
    return weakref.ref(target, callback) if callback is not None else weakref.ref(target)


def rebuild_weak_method(method: Any) -> Any:
    return weakref.WeakMethod(method) if method is not None else rebuild_weakref(None)


def reduce_weak_mapping(pickler: GraphPickler, mapping: Any) -> Any:
    return type(mapping), (), None, None, iter(list(mapping.items()))


def reduce_proxy(pickler: GraphPickler, proxy: Any) -> Any:
    return weakref.proxy, (proxy.__repr__.__self__,)


def reduce_mapping_proxy(pickler: GraphPickler, proxy: Any) -> Any:
    (mapping,) = gc.get_referents(proxy)
    return types.MappingProxyType, (mapping if isinstance(mapping, dict) else dict(proxy),)


def reduce_ordered(pickler: GraphPickler, mapping: Any) -> Any:
    """What Python does, without its detours: every module of torch has ten of these, mostly empty."""
    if type(mapping) is not OrderedDict:
        return NotImplemented
    return OrderedDict, (), mapping.__dict__ or None, None, iter(mapping.items()) if mapping else None


def reduce_view(pickler: GraphPickler, view: Any) -> Any:
    """`d.keys()` and its like, on the very dictionary."""
    (mapping,) = gc.get_referents(view)
    return rebuild_view, (mapping, type(view).__name__.removeprefix("dict_"))


def rebuild_view(mapping: dict[Any, Any], name: str) -> Any:
    return getattr(mapping, name)()


def reduce_cache(pickler: GraphPickler, cached: Any) -> Any:
    """A function under `functools.lru_cache`: by name, or wrapped again. What it remembered is computed again."""
    from colab_guard.state import functions

    if functions.importable(cached):
        return NotImplemented
    if pickler.live.is_by_name(cached):
        return functions.by_name, (cached.__qualname__,)
    return rebuild_cache, (cached.__wrapped__, cached.cache_parameters()), dict(cached.__dict__) or None


def rebuild_cache(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def reduce_exception(pickler: GraphPickler, error: Any) -> Any:
    """By its arguments and attributes, without calling an `__init__` of the user's, which may take others."""
    kind: Any = type(error)
    custom = kind.__reduce__ is not _PLAIN_ERROR.__reduce__ or kind.__reduce_ex__ is not _PLAIN.__reduce_ex__
    if custom or isinstance(error, OSError):
        return NotImplemented
    state = (dict(error.__dict__), error.__cause__, error.__context__, error.__suppress_context__)
    return rebuild_exception, (kind, error.args), state, None, None, set_exception


def rebuild_exception(kind: Any, args: tuple[Any, ...]) -> Any:
    return kind.__new__(kind, *args) if isinstance(kind.__init__, types.FunctionType) else kind(*args)


def set_exception(error: Any, state: tuple[Any, ...]) -> None:
    attributes, error.__cause__, error.__context__, suppress = state
    error.__suppress_context__ = suppress
    error.__dict__.update(attributes)


def hashes_by_value(kind: Any) -> bool:
    """Whether instances define their hash and leave their reduction to Python."""
    return (
        isinstance(kind.__hash__, types.FunctionType)
        and kind.__reduce_ex__ is _PLAIN.__reduce_ex__
        and kind.__reduce__ is _PLAIN.__reduce__
        and not hasattr(kind, "__setstate__")
        and not issubclass(kind, (tuple, list, dict, set, frozenset, str, bytes, int, float))
        and getattr(kind, "__getstate__", None) is getattr(object, "__getstate__", None)
        and not any("__slots__" in vars(base) for base in kind.__mro__)
    )


def reduce_hashed(pickler: GraphPickler, thing: Any) -> Any:
    """With its simple attributes from the start: a key that a dictionary in its own attributes holds can be hashed.

    Where all are simple nothing in them leads back to it, and Python's own way does, which is faster.
    """
    if ATOM_TYPES.issuperset(map(type, thing.__dict__.values())):
        return PLAINLY
    simple = {name: value for name, value in thing.__dict__.items() if _is_simple(value)}
    rest = {name: value for name, value in thing.__dict__.items() if name not in simple}
    return rebuild_hashed, (type(thing), simple), rest or None


def _is_simple(value: Any) -> bool:
    return type(value) in ATOMS or (type(value) is tuple and all(_is_simple(item) for item in value))


def rebuild_hashed(cls: Any, attributes: dict[str, Any]) -> Any:
    instance = cls.__new__(cls)
    instance.__dict__.update(attributes)
    return instance


def reduce_python_random(pickler: GraphPickler, generator: Any) -> Any:
    """The global generator stays that; its state belongs to `random_state`."""
    return (getattr, (random, "_inst")) if generator is random._inst else NotImplemented


def reduce_shell(pickler: GraphPickler, shell: Any) -> Any:
    return this_shell, ()


def this_shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()
