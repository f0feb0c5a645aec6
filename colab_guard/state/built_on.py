"""Instances of the notebook's classes that are built on a type of Python's, and take or do something else than that.

Python's reduction of a deque, a date or a list calls the class with what the built-in type takes, and fills the new one
through its methods, before it has attributes. Here the built-in type's own `__new__` makes it, it has its attributes next,
and the built-in type's own methods fill it; nothing of the notebook's runs. Attributes and content come once the instance
is known to the pickler, so that they may lead back to it. What a class says of its own reduction is obeyed.
"""

from __future__ import annotations

import copyreg
import datetime
import decimal
import fractions
import random
import types
from collections import Counter, OrderedDict, defaultdict, deque
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from colab_guard.state import codes
from colab_guard.state.instances import FROZEN, attributes_of, reduce_own_dict, set_attributes

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler
    from colab_guard.state.reducers import Reducer

BY_ARGUMENTS = (tuple, str, bytes, int, float, complex)
BY_REDUCTION = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal)
VALUES = frozenset({*BY_ARGUMENTS, *BY_REDUCTION, frozenset, fractions.Fraction})
"""What they hold they have from the start, and it never changes."""
FILLED = frozenset({list, dict, OrderedDict, defaultdict, Counter, set, deque, bytearray, random.Random, types.SimpleNamespace})
MORE: dict[Any, Any] = {kind: vars(kind)[name] for kind, name in ((deque, "maxlen"), (defaultdict, "default_factory"))}
"""What says how it goes on, by the type that has it."""
BYSTANDERS = ("abc", "typing", "collections.abc")
"""Modules whose classes hold nothing."""
WAYS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
ANYWAY = frozenset({"__doc__", "__module__", "__dict__", "__weakref__", "__slots__", "__annotations__"})
"""What may be in every class, and says nothing of what its instances do."""


def reducer_for(kind: type) -> Reducer | None:
    """The reducer for instances of `kind`, if Python's own reduction would run code of the notebook's."""
    base = _built_on(kind)
    if base is None or kind in copyreg.dispatch_table or _says_itself(kind) or not _does_otherwise(kind, base):
        return None
    return partial(_reduce_value if base in VALUES else _reduce_filled, base)


def _built_on(kind: type) -> type | None:
    """The type of Python's that its instances are, if no class of a library stands between."""
    if not codes.is_users(kind):
        return None
    others = [base for base in kind.__mro__ if not codes.is_users(base)]
    found = next((base for base in others if base in VALUES or base in FILLED), None)
    if found is None or any(other not in found.__mro__ and other.__module__ not in BYSTANDERS for other in others):
        return None
    return found


def _says_itself(kind: type) -> bool:
    """Whether the notebook says how its instances travel."""
    own = [base for base in kind.__mro__ if codes.is_users(base) and not _is_named_tuple(base)]
    return any(way in vars(base) and vars(base)[way] not in FROZEN for base in own for way in WAYS)


def _is_named_tuple(kind: type) -> bool:
    """Whether `namedtuple` itself made the class, which can be called with what it gives for its arguments."""
    made_by = getattr(vars(kind).get("__new__"), "__func__", None)
    return getattr(made_by, "__module__", None) == f"namedtuple_{kind.__name__}"


def _does_otherwise(kind: type, base: type) -> bool:
    """Whether it has anything in place of what the type under it has."""
    ahead = [one for one in kind.__mro__[: kind.__mro__.index(base)] if not _is_named_tuple(one)]
    return hasattr(kind, "__getattr__") or not ({*dir(base)} - ANYWAY).isdisjoint(chain.from_iterable(map(vars, ahead)))


def _reduce_value(base: Any, pickler: GraphPickler, thing: Any) -> Any:
    own, slots = attributes_of(pickler, thing)
    made = make, (base, type(thing), _arguments(base, thing))
    return (*made, (own, slots), None, None, set_attributes) if own or slots else made


def _arguments(base: Any, thing: Any) -> tuple[Any, ...]:
    """What the type's `__new__` makes an equal one of."""
    if base is frozenset:
        return (tuple(frozenset.__iter__(thing)),)
    if base is fractions.Fraction:
        return fractions.Fraction.numerator.fget(thing), fractions.Fraction.denominator.fget(thing)  # type: ignore[attr-defined]
    arguments: tuple[Any, ...] = base.__getnewargs__(thing) if base in BY_ARGUMENTS else base.__reduce_ex__(thing, 5)[1]
    return arguments


def _reduce_filled(base: Any, pickler: GraphPickler, thing: Any) -> Any:
    own, slots = attributes_of(pickler, thing)
    if own is thing:
        return reduce_own_dict(pickler, thing)
    more = MORE[base].__get__(thing) if base in MORE else None
    return make, (base, type(thing), ()), (base, own, slots, _content(base, thing), more), None, None, fill


def _content(base: Any, thing: Any) -> Any:
    """What is in it; of a dictionary its keys and values in turn, which are hashed when all have their attributes."""
    if issubclass(base, dict):
        return tuple(chain.from_iterable(base.items(thing)))
    if base is bytearray:
        return bytes(memoryview(thing))
    if base is random.Random:
        return random.Random.getstate(thing)
    return () if base is types.SimpleNamespace else tuple(base.__iter__(thing))


def make(base: Any, kind: Any, arguments: tuple[Any, ...]) -> Any:
    return base.__new__(kind, *arguments)


def fill(thing: Any, state: tuple[Any, ...]) -> None:
    base, own, slots, content, more = state
    set_attributes(thing, (own, slots))
    if base is defaultdict:
        MORE[base].__set__(thing, more)
    if issubclass(base, dict):
        put = OrderedDict.__setitem__ if base is OrderedDict else dict.__setitem__
        for key, value in zip(content[::2], content[1::2], strict=True):
            put(thing, key, value)
    elif base is random.Random:
        random.Random.setstate(thing, content)
    elif base is deque:
        deque.__init__(thing, content, more)
    elif base is not types.SimpleNamespace:
        base.__init__(thing, content)
