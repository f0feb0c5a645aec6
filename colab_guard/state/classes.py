"""Classes of the notebook: by name with what the cell changed in them, or by value.

A class that was there before the cell travels by its name; its data, and of the rest what the cell changed, travels
beside the graph and is put back into the live one. One that the cell made is made again without running what ran when it
was made: `__init_subclass__`, `__set_name__` and metaclasses of the notebook have done their work, which is in its
attributes. Those of libraries run again, since what they keep is not in the snapshot.
"""

from __future__ import annotations

import abc
import enum
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloudpickle import cloudpickle

from colab_guard.errors import CannotResume
from colab_guard.state import codes
from colab_guard.state.blocks import RESTORING
from colab_guard.state.functions import by_name, module_of
from colab_guard.state.things import ATOMS, PLAINLY

if TYPE_CHECKING:
    from colab_guard.state.live import Live
    from colab_guard.state.pickler import Definition, GraphPickler

MADE_IN_HEAP = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: that a class was made by a `class` statement or its like."""
REGISTERED = "_abc_impl"
PYTHONS = frozenset({"__dict__", "__weakref__", "__module__", "__slotnames__", REGISTERED})
MEMBERS_OWN = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_"})
CALLED = ("__hash__", "__eq__", "__new__", "__setstate__")
"""What is called while instances are rebuilt, and dictionaries and sets are filled with them."""
ABSENT: Any = object()


def reduce_class(pickler: GraphPickler, cls: type) -> Any:
    if cls.__module__ == "__main__" and pickler.live.is_by_name(cls):
        pickler.classes.setdefault(cls.__qualname__, cls)
        return by_name, (cls.__qualname__,)
    module_of(cls)  # now, if ever, it can be found in its module
    if not cls.__flags__ & MADE_IN_HEAP or issubclass(cls, enum.Enum):
        return NotImplemented
    if cloudpickle._should_pickle_by_reference(cls):
        return PLAINLY
    attributes, _ = cloudpickle._class_getstate(cls)
    begun = {name: vars(cls)[name] for name in ("__module__", "__orig_bases__") if name in vars(cls)}
    begun["__qualname__"] = cls.__qualname__
    if "__slots__" in vars(cls):
        begun["__slots__"] = _slots(cls)
    if isinstance(vars(cls).get("__dict__"), property):
        begun["__dict__"] = vars(cls)["__dict__"]
    rest = {name: value for name, value in attributes.items() if name not in begun and not _is_slot(value, cls)}
    made = (cloudpickle._get_or_create_tracker_id(cls), type(cls), cls.__name__, cls.__bases__, begun)
    called = [part for name in CALLED for part in codes.functions_of(vars(cls).get(name))]
    asked = codes.looked_up(called, pickler.captured_names()) if called else {}
    return make_class, made, (rest, asked) if asked else rest, None, None, fill_class


def _is_slot(value: Any, cls: type) -> bool:
    return isinstance(value, types.MemberDescriptorType) and value.__objclass__ is cls


def _slots(cls: Any) -> Any:
    """As they were written; an iterator has been used up."""
    written = cls.__slots__
    return written if isinstance(written, (str, tuple, list, dict)) else [n for n, v in vars(cls).items() if _is_slot(v, cls)]


def make_class(tracker: str, metaclass: Any, name: str, bases: tuple[type, ...], begun: dict[str, Any]) -> Any:
    """The class without most of its attributes; where it is there already, that one."""
    if (found := cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(tracker)) is not None:
        return found
    with _hooks_rest(bases):
        if metaclass is type:
            cls = type.__new__(type, name, bases, dict(begun))
        elif codes.is_notebooks(metaclass):
            librarys: Any = _librarys(metaclass)
            cls = librarys.__new__(metaclass, name, bases, dict(begun))
            librarys.__init__(cls, name, bases, dict(begun))
        else:
            written = begun.get("__orig_bases__", bases)
            cls = types.new_class(name, written, {"metaclass": metaclass}, lambda body: body.update(begun))
    return cloudpickle._lookup_class_or_track(tracker, cls)


def _librarys(metaclass: Any) -> Any:
    return next(base for base in metaclass.__mro__ if not codes.is_notebooks(base))


@contextmanager
def _hooks_rest(bases: Iterable[type]) -> Iterator[None]:
    """Meanwhile, `__init_subclass__` of classes of the notebook only passes on to those of libraries."""
    above = {id(base): base for direct in bases for base in direct.__mro__}.values()
    owners = [base for base in above if codes.is_notebooks(base) and "__init_subclass__" in vars(base)]
    hooks = [vars(owner)["__init_subclass__"] for owner in owners]
    try:
        for owner in owners:
            set_attribute(owner, "__init_subclass__", classmethod(_passing_on(owner)))
        yield
    finally:
        for owner, hook in zip(owners, hooks, strict=True):
            set_attribute(owner, "__init_subclass__", hook)


def _passing_on(owner: Any) -> Any:
    def pass_on(cls: type, **_: Any) -> None:
        super(owner, cls).__init_subclass__()

    return pass_on


def set_attribute(cls: type, name: str, value: Any) -> None:
    """Set it past a metaclass of the notebook."""
    _librarys(type(cls)).__setattr__(cls, name, value)


def fill_class(cls: Any, state: dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]) -> None:
    """`state`: attributes, and with them names of the notebook that code asks for which runs while instances are rebuilt."""
    attributes, asked = state if isinstance(state, tuple) else (state, {})
    RESTORING.bind(asked)
    for name, value in attributes.items():
        if name != REGISTERED:
            set_attribute(cls, name, value)
    for subclass in attributes.get(REGISTERED, ()):
        abc.ABCMeta.register(cls, subclass)


# what a cell changes in classes that were there before


@dataclass(frozen=True, slots=True)
class Begun:
    """What was in a class when the cell began; of an enumeration, also what its members had."""

    cls: type
    attributes: Mapping[str, Any]
    members: Mapping[str, Mapping[str, Any]]


def classes_of(names: Mapping[str, Any]) -> dict[int, Begun]:
    """The notebook's classes among the values of `names`, and in them, as they are now; by address."""
    found: dict[int, Begun] = {}
    waiting = list(names.values())
    while waiting:
        cls = waiting.pop()
        if not issubclass(type(cls), type) or not codes.is_notebooks(cls) or id(cls) in found:
            continue
        attributes = dict(vars(cls))
        found[id(cls)] = Begun(cls, attributes, {name: dict(vars(member)) for name, member in _members(cls).items()})
        waiting += attributes.values()
    return found


def _members(cls: Any) -> dict[str, Any]:
    return {member._name_: member for member in cls._member_map_.values()} if issubclass(cls, enum.Enum) else {}


def definition(name: str, cls: type, live: Live) -> Definition:
    """Its data, and what the cell changed besides."""
    data = class_data(cls)
    changes = class_changes(cls, data, live)
    return ("class", name, data, changes) if changes else ("class", name, data)


def class_data(cls: type) -> dict[str, Any]:
    """Attributes of a notebook class that are data: what a cell may have changed on it, or in them."""
    if issubclass(cls, enum.Enum):
        return {n: v for n, v in vars(cls).items() if not n.startswith("_") and not isinstance(v, cls) and not _is_code(v)}
    return {n: v for n, v in vars(cls).items() if not n.startswith("__") and n != REGISTERED and not _is_code(v)}


def _is_code(value: Any) -> bool:
    return hasattr(type(value), "__get__") and not codes.is_notebooks(type(value))


def class_changes(cls: type, data: Mapping[str, Any], live: Live) -> dict[str, Any]:
    """What is another than when the cell began: methods and the like, names that are gone, attributes of members."""
    begun = live.classes.get(id(cls))
    if begun is None:
        return {}
    before, now = begun.attributes, vars(cls)
    others = {n: v for n, v in now.items() if before.get(n, ABSENT) is not v and n not in data and n not in PYTHONS}
    gone = [name for name in before if name not in now and name not in PYTHONS]
    members = {name: kept for name, member in _members(cls).items() if (kept := _kept(vars(member), begun.members.get(name, {})))}
    return {name: part for name, part in {"others": others, "gone": gone, "members": members}.items() if part}


def _kept(attributes: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """All that are not certainly what they were."""
    return {
        name: value
        for name, value in attributes.items()
        if name not in MEMBERS_OWN and not (isinstance(value, ATOMS) and before.get(name, ABSENT) is value)
    }


def put_back(cls: type, data: Mapping[str, Any], changes: Mapping[str, Any], live: Live, lost: type) -> None:
    """Let `cls` be what it was at the snapshot: what the live one was when its cell began, with these changes."""
    others: Mapping[str, Any] = changes.get("others", {})
    wanted = {**data, **others}
    begun = live.classes.get(id(cls))
    stays: Mapping[str, Any] = {}
    if begun is not None:
        stays = {name: value for name, value in begun.attributes.items() if name not in PYTHONS and name not in wanted}
        for name in vars(cls).keys() - begun.attributes.keys() - wanted.keys() - PYTHONS:
            _librarys(type(cls)).__delattr__(cls, name)
    for name, value in {**stays, **wanted}.items():
        if vars(cls).get(name, ABSENT) is value or isinstance(value, lost) or name in changes.get("gone", ()):
            continue
        try:
            set_attribute(cls, name, value)
        except (AttributeError, TypeError) as error:
            raise CannotResume(f"{cls.__qualname__}.{name} of the snapshot cannot be set again: {error}") from error
    for name in changes.get("gone", ()):
        if name in vars(cls):
            _librarys(type(cls)).__delattr__(cls, name)
    for name, member in _members(cls).items():
        kept = {key: value for key, value in changes.get("members", {}).get(name, {}).items() if not isinstance(value, lost)}
        vars(member).update({**(begun.members.get(name, {}) if begun is not None else {}), **kept})
