"""Reducers for plain Python's own awkward objects: weak references, exceptions, views, caches, singletons."""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import gc
import importlib
import queue
import random
import sys
import types
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from colab_guard.errors import CannotResume
from colab_guard.state.blocks import RESTORING

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

_PLAIN: Any = object
_PLAIN_ERROR: Any = BaseException
ATOMS = (str, int, float, complex, bytes, bool, type(None))
ATOM_TYPES = frozenset(ATOMS)
PLAINLY = object()
"""What a reducer gives where Python's own reduction is to be taken, past cloudpickle's."""

SET_BY_INIT = (OSError, StopIteration, SystemExit)
"""Exceptions that take what stands outside their `args` when they are initialized."""

NEVER = {
    "threading.Thread": "a thread in flight cannot be kept",
    "subprocess.Popen": "a running process cannot be kept",
    "multiprocessing.process.BaseProcess": "a running process cannot be kept",
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
    return weakref.WeakMethod(_Gone().method if method is None else method)


class _Gone:
    """Lives no longer than the line that makes it."""

    def method(self) -> None: ...


def reduce_weak_mapping(pickler: GraphPickler, mapping: Any) -> Any:
    return type(mapping), (), None, None, iter(list(mapping.items()))


def reduce_proxy(pickler: GraphPickler, proxy: Any) -> Any:
    return weakref.proxy, (proxy.__repr__.__self__,)


def reduce_mapping_proxy(pickler: GraphPickler, proxy: Any) -> Any:
    if proxy is getattr(dataclasses, "_EMPTY_METADATA", None):  # that of every field
        return getattr, (dataclasses, "_EMPTY_METADATA")
    (mapping,) = gc.get_referents(proxy)
    if isinstance(mapping, dict) and "__module__" in mapping and (owner := _class_of(mapping)) is not None:
        return vars, (owner,)
    return types.MappingProxyType, (mapping if isinstance(mapping, dict) else dict(proxy),)


def _class_of(mapping: dict[str, Any]) -> type | None:
    """The class whose `vars()` look into this dictionary."""
    classes = [holder for holder in gc.get_referrers(mapping) if isinstance(holder, type)]
    return next((one for one in classes if gc.get_referents(vars(one))[0] is mapping), None)


def reduce_ordered(pickler: GraphPickler, mapping: Any) -> Any:
    """What Python does, without its detours: every module of torch has ten of these, mostly empty."""
    return OrderedDict, (), attributes_of_ordered(mapping), None, iter(mapping.items()) if mapping else None


def attributes_of_ordered(mapping: Any) -> Any:
    """The attributes of an OrderedDict, None where it has none: to ask for its `__dict__` would give it one."""
    return object.__getstate__(mapping)


def reduce_view(pickler: GraphPickler, view: Any) -> Any:
    """`d.keys()` and its like, on the very dictionary."""
    (mapping,) = gc.get_referents(view)
    return rebuild_view, (mapping, type(view).__name__.rpartition("_")[2])


def rebuild_view(mapping: dict[Any, Any], name: str) -> Any:
    return getattr(mapping, name)()


def reduce_cache(pickler: GraphPickler, cached: Any) -> Any:
    """A function under `functools.lru_cache`: by name, or wrapped again. What it remembers follows behind the graph."""
    from colab_guard.state import functions

    if functions.importable(cached):
        return NotImplemented
    pickler.caches.setdefault(id(cached), cached)
    if pickler.live.is_by_name(cached):
        return functions.by_name, (cached.__qualname__,)
    return rebuild_cache, (cached.__wrapped__, cached.cache_parameters()), dict(cached.__dict__) or None


def rebuild_cache(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def reduce_exception(pickler: GraphPickler, error: Any) -> Any:
    """By its arguments and attributes, without calling an `__init__` of the user's, which may take others."""
    kind: Any = type(error)
    plainly = (_PLAIN_ERROR.__reduce__, OSError.__reduce__)
    if kind.__reduce__ not in plainly or kind.__reduce_ex__ is not _PLAIN.__reduce_ex__:
        return NotImplemented
    # an OSError's names of files are not among its `args`
    args = OSError.__reduce__(error)[1] if isinstance(error, OSError) else error.args
    state = (dict(error.__dict__), error.__cause__, error.__context__, error.__suppress_context__)
    return rebuild_exception, (kind, args), state, None, None, set_exception


def rebuild_exception(kind: Any, args: tuple[Any, ...]) -> Any:
    base: Any = next(base for base in kind.__mro__ if issubclass(base, BaseException) and not _takes_over(base))
    if base is kind:
        return kind(*args)
    made = base.__new__(kind, *args)
    if isinstance(made, SET_BY_INIT):
        base.__init__(made, *args)
    return made


def _takes_over(kind: Any) -> bool:
    """Whether code in Python says what instances are made from."""
    return any(isinstance(way, types.FunctionType) for way in (kind.__init__, kind.__new__))


def set_exception(error: Any, state: tuple[Any, ...]) -> None:
    attributes, error.__cause__, error.__context__, suppress = state
    error.__suppress_context__ = suppress
    error.__dict__.update(attributes)


def reduce_context_variable(pickler: GraphPickler, variable: Any) -> Any:
    """The one that an earlier cell or a library made stays that; its value in this context comes back."""
    owner = next((name for name, value in pickler.live.start.items() if value is variable), None)
    module = None if owner is not None else _module_with(variable)
    default = _value_in(contextvars.Context(), variable)
    value = _value_in(contextvars.copy_context(), variable)
    return rebuild_context_variable, (variable.name, owner, module, default), (value,), None, None, set_context_variable


def _module_with(variable: Any) -> tuple[str, str] | None:
    """The module, and the name in it, under which `variable` is found."""
    for module in list(sys.modules.values()):
        name_of_module = getattr(module, "__name__", "__main__")
        for name, value in list(vars(module).items()) if name_of_module != "__main__" else ():
            if value is variable:
                return name_of_module, name
    return None


def _value_in(context: contextvars.Context, variable: Any) -> tuple[Any, ...]:
    """The variable's value there, in a tuple; an empty one where it has none."""
    try:
        return (context.run(variable.get),)
    except LookupError:
        return ()


def rebuild_context_variable(name: str, owner: str | None, module: tuple[str, str] | None, default: tuple[Any, ...]) -> Any:
    if module is not None:
        return getattr(importlib.import_module(module[0]), module[1])
    found = RESTORING.live.look_up(owner, RESTORING.live.start) if owner is not None else None
    if isinstance(found, contextvars.ContextVar):
        return found
    return contextvars.ContextVar(name, default=default[0]) if default else contextvars.ContextVar(name)


def set_context_variable(variable: Any, value: tuple[tuple[Any, ...]]) -> None:
    for part in value[0]:
        variable.set(part)


def shares_attributes(thing: Any) -> bool:
    """Whether the dictionary of an instance is held by more than the instance: `settings = vars(arguments)`, a Borg's."""
    return sys.getrefcount(thing.__dict__) > 2  # the instance, and the question itself


def reduce_simple_namespace(pickler: GraphPickler, thing: Any) -> Any:
    if shares_attributes(thing):
        raise CannotKeep("its vars() are held beside it, and a SimpleNamespace takes none; use argparse.Namespace or a dict")
    return NotImplemented


def reduce_python_random(pickler: GraphPickler, generator: Any) -> Any:
    """The global generator stays that; its state belongs to `random_state`."""
    return (getattr, (random, "_inst")) if generator is random._inst else NotImplemented


ONLY_ITSELF = frozenset({reduce_ordered, reduce_python_random, reduce_simple_namespace})
"""Reducers that are not for subclasses of their types."""


def reduce_shell(pickler: GraphPickler, shell: Any) -> Any:
    return this_shell, ()


def this_shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()
