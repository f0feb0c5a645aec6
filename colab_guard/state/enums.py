"""Enumerations that the cell defines, whole: aliases, composite flags, members with attributes of their own.

A class with its members is made at once, so that whatever refers to a member finds it by its value; methods and all else
that may refer to the class follow. Members are not made by the class's own `__new__` and `__init__`, which ran when the
class was defined: what they had set is put back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cloudpickle import cloudpickle

from colab_guard.state.classes import reduce_class

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

MADE_BY_PYTHON = frozenset({"__dict__", "__weakref__", "_member_map_", "_value2member_map_"})
MIXED_IN = (int, str, float, bytes, complex, tuple)
"""Types of members that are their values too, and can be made from them."""

Made = tuple[str, Any, Any]
"""A member: its name, what of the mixed-in type it is (None without one), its value."""


def reduce_enum(pickler: GraphPickler, cls: Any) -> Any:
    by_name = reduce_class(pickler, cls)
    if by_name is not NotImplemented or cls.__module__ != "__main__" or not _is_plain(cls):
        return by_name
    members: dict[str, Any] = dict(cls._member_map_)
    first = {id(member): name for name, member in reversed(members.items())}
    own = [name for name, member in members.items() if first[id(member)] == name]
    mixed = next((kind for kind in MIXED_IN if issubclass(cls, kind)), None)
    unnamed = {id(member): member for member in cls._value2member_map_.values() if id(member) not in first}
    places = {address: place for place, address in enumerate(unnamed)}
    made = [(name, *_parts(mixed, members[name])) for name in own]
    names = {name: first[id(member)] for name, member in members.items()}
    values = [(value, first.get(id(member), places.get(id(member)))) for value, member in cls._value2member_map_.items()]
    rest = {name: value for name, value in vars(cls).items() if name not in MADE_BY_PYTHON and name not in members}
    rest["__qualname__"] = cls.__qualname__
    alike = [_parts(mixed, member) for member in unnamed.values()]
    arguments = (cloudpickle._get_or_create_tracker_id(cls), type(cls), cls.__name__, cls.__bases__, mixed, made, names, values, alike)
    attributes = {name: vars(members[name]) for name in own}
    return make_enum, arguments, (rest, attributes, [], list(map(vars, unnamed.values()))), None, None, fill_enum


def _parts(mixed: Any, member: Any) -> tuple[Any, Any]:
    return None if mixed is None else _bare(mixed, member), member._value_


def _is_plain(cls: Any) -> bool:
    """Whether each name of a member means the member, and members are of a type that can be made here."""
    plain_type = cls._member_type_ in (object, *MIXED_IN) or cls._member_type_.__new__ is object.__new__
    return plain_type and bool(cls._member_map_) and all(vars(cls).get(name) is member for name, member in cls._member_map_.items())


def _bare(mixed: type, member: Any) -> Any:
    """The member as a value of the mixed-in type, whatever its own methods would say."""
    if mixed in (tuple, bytes):
        return mixed.__getitem__(member, slice(None))  # type: ignore[attr-defined]
    if mixed is complex:
        return complex(complex.real.__get__(member), complex.imag.__get__(member))  # type: ignore[attr-defined]
    return {int: int.__int__, str: str.__str__, float: float.__float__}[mixed](member)


def make_enum(
    tracker: str,
    metaclass: Any,
    name: str,
    bases: tuple[type, ...],
    mixed: Any,
    made: Sequence[Made],
    names: Mapping[str, str],
    values: Sequence[tuple[Any, str | int]],
    unnamed: Sequence[tuple[Any, Any]] = (),  # the first commits know nothing of these
) -> Any:
    """The class and its members; where it is there already, that one. `names` gives, in order, whose name each is.

    `unnamed` are flags that were asked for and have no name: the class remembers what it has made of them.
    """
    cls: Any = type.__new__(metaclass, name, bases, {"__module__": "__main__"})
    found = cloudpickle._lookup_class_or_track(tracker, cls)
    if found is not cls:
        return found
    members: dict[str | int, Any] = {}
    every: list[tuple[str | int, Any, Any]] = [*made, *((place, *parts) for place, parts in enumerate(unnamed))]
    for own, bare, value in every:
        member: Any = object.__new__(cls) if mixed is None else mixed.__new__(cls, bare)
        member._value_ = value
        if isinstance(own, str):
            member._name_, member.__objclass__ = own, cls
        members[own] = member
    by_name = {each: members[own] for each, own in names.items()}
    by_value = {value: members[own] for value, own in values}
    for each, thing in {**by_name, "_member_map_": by_name, "_value2member_map_": by_value}.items():
        type.__setattr__(cls, each, thing)
    return cls


def fill_enum(cls: Any, state: tuple[Any, ...]) -> None:
    """Put back what the class and its members have besides."""
    rest, attributes, *flags = state  # the first commits know nothing of these
    composed, unnamed = [*flags, (), ()][:2]
    for name, value in rest.items():
        if name == "__doc__" or vars(cls).get(name, cls) is not value:
            type.__setattr__(cls, name, value)
    for name, values in attributes.items():
        vars(cls._member_map_[name]).update(values)
    for values in unnamed:
        vars(cls._value2member_map_[values["_value_"]]).update(values)
    for value in composed:  # commits of earlier versions tell no more of these
        cls(value)


