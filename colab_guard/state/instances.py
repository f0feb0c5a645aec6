"""Instances whose own classes stand in the way of Python's reduction: it works on objects that have no attributes yet.

A class that computes its instances' hash from attributes cannot be a key of a dictionary that its own attributes hold;
one that answers for attributes itself (`__getattr__`) is asked for `__setstate__` before it can; one that is the only
one of its kind (`dataclasses.MISSING`) is not that one any more.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import sys
import types
import uuid
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from colab_guard.state import codes, functions
from colab_guard.state.blocks import RESTORING
from colab_guard.state.things import ATOM_TYPES, ATOMS, PLAINLY, shares_attributes

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler
    from colab_guard.state.reducers import Reducer

Attributes = tuple[dict[str, Any], dict[str, Any]]
"""What is in the dictionary of an instance, and what is in its slots."""

_PLAIN: Any = object
NONE: Mapping[str, Any] = types.MappingProxyType({})
FROZEN = tuple(getattr(dataclasses, f"_dataclass_{way}state", None) for way in ("get", "set"))
"""How a frozen dataclass with slots travels: its fields, set past its `__setattr__`."""
CONTAINERS = (tuple, list, dict, set, frozenset, str, bytes, int, float)
PROTOCOL = 5
HEAP_TYPE = 1 << 9
"""What a class made by Python's `class` has among its flags."""
VALUES = (
    *ATOMS,
    enum.Enum,
    pathlib.PurePath,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
    range,
)
HOLDERS = frozenset({list, dict, set, deque, tuple, frozenset})
NESTED = 3
"""How deep containers in containers are looked into, to find that they hold data alone."""
MOST_HELD = 1_000
"""Items of a container that are looked at one by one."""


class _Empty:
    pass


def reducer_for(kind: type) -> Reducer | None:
    """The reducer for instances of a class that has none by its name."""
    if not travels_plainly(kind):
        return reduce_as_told if codes.is_notebooks(kind) and _tells(kind) else None
    if _only_ones(kind):
        return reduce_only_one
    if _answers(kind) or _takes_arguments(kind):
        return reduce_answering
    if issubclass(kind, dict):
        return reduce_own_dict if codes.is_notebooks(kind) and kind.__dictoffset__ else None
    if _hashes(kind):
        return reduce_hashed
    return reduce_shared if _has_only_attributes(kind) else None


def travels_plainly(kind: type) -> bool:
    """Whether the class leaves the reduction of its instances to Python."""
    return (
        kind.__reduce_ex__ is _PLAIN.__reduce_ex__
        and kind.__reduce__ is _PLAIN.__reduce__
        and getattr(kind, "__getstate__", None) in (_PLAIN.__getstate__, FROZEN[0])
        and getattr(kind, "__setstate__", None) in (None, FROZEN[1])
        and not hasattr(kind, "__getnewargs_ex__")
    )


def _tells(kind: Any) -> bool:
    return any(type(way) is types.FunctionType and codes.is_notebooks(way) for way in (kind.__reduce__, kind.__reduce_ex__))


def reduce_as_told(pickler: GraphPickler, thing: Any) -> Any:
    """As its class says; a function of the notebook that is to rebuild it finds the names that it asks for."""
    told = thing.__reduce_ex__(PROTOCOL)
    if not isinstance(told, tuple):
        return told
    asked = codes.looked_up(codes.functions_of(told[0]), pickler.captured_names())
    return (call_with, (asked, *told[:2]), *told[2:]) if asked else told


def call_with(asked: Mapping[str, Any], function: Any, arguments: tuple[Any, ...]) -> Any:
    RESTORING.bind(asked)
    return function(*arguments)


def _hashes(kind: type) -> bool:
    own = isinstance(kind.__hash__, types.FunctionType) and not hasattr(kind, "__getnewargs__")
    return own and not issubclass(kind, CONTAINERS)


def _has_only_attributes(kind: Any) -> bool:
    """Whether a class of Python's has nothing in its instances besides attributes, and they have a dictionary."""
    bases = [base for base in kind.__mro__ if base is not object]
    return kind.__dictoffset__ and all(base.__flags__ & HEAP_TYPE for base in bases) and not hasattr(kind, "__getnewargs__")


# those of which there is one


def _only_ones(kind: Any) -> tuple[tuple[str, Any], ...]:
    if kind.__module__ in ("__main__", "builtins"):
        return ()
    # a class that is made for one object may lead to it, and is not to be remembered
    return _named_in_module(kind) if functions.importable(kind) else _named_in_module.__wrapped__(kind)


@lru_cache(maxsize=4096)
def _named_in_module(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Instances that the module of their library class has by a name, where they can have no state."""
    if kind.__basicsize__ > _Empty.__basicsize__ or kind.__itemsize__ or any(vars(base).get("__slots__") for base in kind.__mro__):
        return ()
    module = sys.modules.get(kind.__module__)
    return tuple((name, value) for name, value in list(vars(module).items()) if type(value) is kind) if module else ()


def reduce_only_one(pickler: GraphPickler, thing: Any) -> Any:
    kind: Any = type(thing)
    for name, one in _named_in_module(kind):
        if one is thing and not getattr(thing, "__dict__", None):
            return only_one, (kind.__module__, name)
    return NotImplemented


def only_one(module: str, name: str) -> Any:
    __import__(module)
    return getattr(sys.modules[module], name)


# those that are hashed by their attributes


def reduce_hashed(pickler: GraphPickler, thing: Any) -> Any:
    """With the attributes that its hash may need from the start: a key that its own attributes hold can be hashed.

    Where all are simple nothing in them leads back to it, and Python's own way does, which is faster.
    """
    kind = type(thing)
    if kind.__dictoffset__ and not _slots(pickler, kind):
        own = thing.__dict__
        if ATOM_TYPES.issuperset(map(type, own.values())):
            return PLAINLY
        early = _early(pickler, thing, own)
        return rebuild, (kind, (), early), {name: own[name] for name in own if name not in early} or None
    own, slots = attributes_of(pickler, thing)
    if ATOM_TYPES.issuperset(map(type, (own | slots).values())):
        return PLAINLY
    return _in_two_steps(pickler, thing, own, slots)


def _in_two_steps(pickler: GraphPickler, thing: Any, own: dict[str, Any], slots: dict[str, Any]) -> Any:
    both = _early(pickler, thing, own | slots)
    early = tuple({name: part[name] for name in part if name in both} for part in (own, slots))
    late = tuple({name: part[name] for name in part if name not in both} for part in (own, slots))
    return rebuild, (type(thing), (), *early), late if any(late) else None, None, None, set_attributes


def _early(pickler: GraphPickler, thing: Any, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a hash is likely made from, and that do not lead back to `thing`.

    Some that hash by their attributes themselves do. Then it is met a second time before it is made, and goes the
    other way there: the pickler takes what was made first.
    """
    begun = id(thing) in pickler.begun
    pickler.begun.add(id(thing))
    return {name: value for name, value in attributes.items() if _is_simple(pickler, value, begun=begun)}


def _is_simple(pickler: GraphPickler, value: Any, *, begun: bool) -> bool:
    kind = type(value)
    if kind in ATOM_TYPES:
        return True
    if issubclass(kind, (tuple, frozenset)):
        return all(_is_simple(pickler, item, begun=begun) for item in value)
    if kind in HOLDERS:
        return _leads_nowhere(value, NESTED)
    if _is_numbers(value):
        return True
    if begun:
        return False
    if issubclass(kind, VALUES):
        return True
    return pickler.reducer_of(kind) in (reduce_hashed, reduce_answering) and _hashes(kind)


def _leads_nowhere(value: Any, depth: int) -> bool:
    """Whether a container holds data alone: then it is whole wherever it is met, and a hash may be made from it."""
    parts = list(chain(value, value.values())) if type(value) is dict else value
    if ATOM_TYPES.issuperset(map(type, parts)):
        return True
    if not depth or len(parts) > MOST_HELD:
        return False
    return all(_leads_nowhere(part, depth - 1) if type(part) in HOLDERS else _is_datum(part) for part in parts)


def _is_datum(value: Any) -> bool:
    kind = type(value)
    return kind in ATOM_TYPES or issubclass(kind, enum.Enum) or kind in VALUES or _is_numbers(value)


def _is_numbers(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return False
    return isinstance(value, numpy.generic) or (type(value) is numpy.ndarray and not value.dtype.hasobject)


# those that answer for their attributes


def _answers(kind: type) -> bool:
    """Whether code of the notebook is asked for attributes of instances, or told of them, while they are made."""
    if issubclass(kind, CONTAINERS) and not issubclass(kind, (list, dict)):
        return False
    own = [base for base in kind.__mro__ if codes.is_users(base)]
    asked = {"__getattr__", "__getattribute__"} | ({"__setattr__"} if _slots_of(kind) else set())
    return not hasattr(kind, "__getnewargs__") and any(not asked.isdisjoint(vars(base)) for base in own)


def reduce_answering(pickler: GraphPickler, thing: Any) -> Any:
    """What is in it, taken out and put back without asking it."""
    kind = type(thing)
    own, slots = attributes_of(pickler, thing)
    if issubclass(kind, dict):
        if own is thing:
            return reduce_own_dict(pickler, thing)
        items: tuple[Any, Any] = (None, iter(dict.items(thing)))
    else:
        items = (iter(list.__iter__(thing)) if issubclass(kind, list) else None, None)
    if _hashes(kind):
        return _in_two_steps(pickler, thing, own, slots)
    return rebuild, (kind, ()), (own, slots) if own or slots else None, *items, set_attributes


def asks_when_looked_at(kind: type) -> bool:
    """Whether to read an attribute of an instance runs code of the notebook."""
    return _answers(kind) and isinstance(kind.__getattribute__, types.FunctionType)


def reduce_own_dict(pickler: GraphPickler, thing: Any) -> Any:
    """A dictionary whose items are its attributes (`self.__dict__ = self`)."""
    if object.__getattribute__(thing, "__dict__") is not thing:
        return PLAINLY
    return rebuild_own_dict, (type(thing),), None, None, iter(dict.items(thing))


def rebuild_own_dict(cls: Any) -> Any:
    made = cls.__new__(cls)
    object.__setattr__(made, "__dict__", made)
    return made


def _takes_arguments(kind: Any) -> bool:
    """Whether a `__new__` of the notebook's has to be given more than the class, and `object` could make instances without.

    One that needs nothing more may have one instance for all, and is asked for it.
    """
    new = kind.__new__
    if type(new) is not types.FunctionType or not codes.is_notebooks(kind) or hasattr(kind, "__getnewargs__"):
        return False
    needed = new.__code__.co_argcount - len(new.__defaults__ or ()) > 1 or new.__code__.co_kwonlyargcount > len(new.__kwdefaults__ or ())
    return needed and all(base.__new__ is object.__new__ for base in kind.__mro__ if not codes.is_notebooks(base))


# those whose dictionary others hold too


def reduce_shared(pickler: GraphPickler, thing: Any) -> Any:
    """With that very dictionary: Python's reduction would fill another one from it."""
    if not shares_attributes(thing) or not travels_plainly(type(thing)):  # the class may have been changed since
        return PLAINLY
    return rebuild, (type(thing), ()), attributes_of(pickler, thing), None, None, share_attributes


def share_attributes(instance: Any, attributes: Attributes) -> None:
    own, slots = attributes
    object.__setattr__(instance, "__dict__", own)
    set_attributes(instance, ({}, slots))


BY_ATTRIBUTES = (reduce_hashed, reduce_answering, reduce_shared)
"""Those that give a class and attributes, in whatever way."""

# attributes, past whatever the class says of them


def attributes_of(pickler: GraphPickler, thing: Any) -> Attributes:
    kind = type(thing)
    try:
        own = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        own = {}
    slots = {}
    for name, slot in _slots(pickler, kind).items():
        try:
            slots[name] = slot.__get__(thing)
        except AttributeError:  # nothing is in it
            continue
    return own, slots


def _slots(pickler: GraphPickler, kind: type) -> Mapping[str, Any]:
    if kind not in pickler.slots:
        pickler.slots[kind] = _slots_of(kind)
    return pickler.slots[kind]


def _slots_of(kind: type) -> dict[str, Any]:
    """The descriptors of the slots by their names, mangled as they are."""
    bases = [base for base in reversed(kind.__mro__) if "__slots__" in vars(base)]
    return {name: slot for base in bases for name, slot in vars(base).items() if type(slot) is types.MemberDescriptorType}


def rebuild(cls: Any, arguments: tuple[Any, ...], own: Mapping[str, Any] = NONE, slots: Mapping[str, Any] = NONE) -> Any:
    """An instance without its `__init__`, with these attributes."""
    made = object.__new__(cls) if _takes_arguments(cls) else cls.__new__(cls, *arguments)
    if own or slots:
        set_attributes(made, (own, slots))
    return made


def set_attributes(instance: Any, attributes: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
    own, slots = attributes
    if own:
        # as Python's reduction does: names of attributes are found faster so
        object.__getattribute__(instance, "__dict__").update({sys.intern(name): value for name, value in own.items()})
    if slots:
        here = _slots_of(type(instance))
        for name, value in slots.items():
            if name in here:
                here[name].__set__(instance, value)
            else:  # the class has another layout now
                object.__setattr__(instance, name, value)
