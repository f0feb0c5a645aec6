"""The containers that every torch module has of its own: ten dictionaries of hooks, its parameters, buffers and modules.

Most are empty nearly always, and known to nobody else. Where that is so, which references counted tell, they need no
place in a pickle: whoever restores the module makes them anew. A model of some hundred modules has thousands of them, and
they would be most of its pickle.
"""

from __future__ import annotations

import gc
import operator
import sys
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from colab_guard.state.pointers import Getter, getter

_PLAIN: Any = object
KINDS = frozenset({dict, OrderedDict, set})
_OWN: dict[tuple[str, ...], tuple[tuple[str, ...], Getter] | None] = {}
"""By the names of a module's attributes: which are such containers."""
_PARTS: dict[tuple[Any, ...], Parts] = {}
_IS_PLAIN: weakref.WeakKeyDictionary[type, bool] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Parts:
    """How to take apart the attributes of modules alike. `names` are all of them, `made` those that are empty containers
    of the module's own, with their types; `empty` gives these, `rest` the others."""

    names: tuple[str, ...]
    made: tuple[tuple[str, type], ...]
    empty: Getter
    rest: Getter
    kinds: list[type]


def parts(attributes: dict[str, Any]) -> Parts | None:
    """The parts of a module with such attributes; None where it has something else in their places."""
    names = tuple(attributes)
    if names not in _OWN:
        _OWN[names] = _own(names)
    own = _OWN[names]
    if own is None:
        return None
    values = own[1](attributes)
    kinds = tuple(map(type, values))
    if not KINDS.issuperset(kinds):
        return None
    key = (names, kinds, tuple(map(bool, values)))
    found = _PARTS.get(key)
    if found is None:
        empty = {name: kind for name, kind, filled in zip(own[0], kinds, key[2], strict=True) if not filled}
        rest = [name for name in names if name not in empty]
        found = _PARTS[key] = Parts(names, tuple(empty.items()), getter(list(empty)), getter(rest), list(empty.values()))
    return found


def _own(names: tuple[str, ...]) -> tuple[tuple[str, ...], Getter] | None:
    known = {name for name, value in sys.modules["torch"].nn.Module().__dict__.items() if type(value) in KINDS}
    own = tuple(name for name in names if name in known)
    return None if not own or "_compiled_call_impl" in names else (own, getter(own))


def is_plain(kind: type) -> bool:
    """Whether instances are pickled and restored as torch's modules are, by no method of their own."""
    if kind not in _IS_PLAIN:
        module: Any = sys.modules["torch"].nn.Module
        mine: Any = kind
        _IS_PLAIN[kind] = (
            mine.__reduce_ex__ is _PLAIN.__reduce_ex__
            and mine.__reduce__ is _PLAIN.__reduce__
            and getattr(mine, "__getstate__", None) in (getattr(object, "__getstate__", None), module.__dict__.get("__getstate__"))
            and mine.__setstate__ is module.__setstate__
            and not any(hasattr(mine, way) for way in ("__getnewargs__", "__getnewargs_ex__"))
            and not any(vars(base).get("__slots__") for base in mine.__mro__)
        )
    return _IS_PLAIN[kind]


def parts_alone(attributes: dict[str, Any], held: int) -> Parts | None:
    """The parts of a module of which the empty ones are known to nobody else; `held` references to its attributes are the caller's."""
    found = parts(attributes)
    # one reference is this function's
    if found is None or not only_the_modules((attributes,), held + 1) or not nobodys(found.empty(attributes), found.kinds):
        return None
    return found


def nobodys(empty: tuple[Any, ...], kinds: list[type], held: int = 0) -> bool:
    """Whether these are empty containers of such types that nobody but their module, and `held` of the caller's, refers to."""
    return (
        list(map(type, empty)) == kinds
        and not any(empty)
        and not any(gc.get_referents(*empty))  # attributes of theirs
        and not any(map(weakref.getweakrefcount, empty))
        and operator.countOf(map(sys.getrefcount, empty), ALONE + held) == len(empty)
    )


def only_the_modules(attributes: tuple[dict[str, Any], ...], held: int = 0) -> bool:
    """Whether nobody but their modules, and `held` of the caller's, refers to these attributes: who does can reach what is in
    them without a reference of its own."""
    return operator.countOf(map(sys.getrefcount, attributes), ALONE + held) == len(attributes)


def _alone(holder: Iterable[Any]) -> int:
    return next(map(sys.getrefcount, tuple(holder)))


ALONE = _alone({"hooks": OrderedDict[Any, Any]()}.values())
"""What Python counts of an object that one other holds, and a tuple that is looked at."""
