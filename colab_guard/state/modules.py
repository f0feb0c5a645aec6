"""The dictionaries of hooks that every torch module has: ten of them, nearly always empty and known to nobody else.

Where that is so, which references counted tell, they need no place in a pickle: whoever restores the module makes them
anew. A model of some hundred modules has thousands of them, and they would be most of its pickle.
"""

from __future__ import annotations

import gc
import operator
import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

_PLAIN: Any = object
Get = Callable[[Any], tuple[Any, ...]]
_PARTS: dict[tuple[str, ...], tuple[Get | None, Get]] = {}
_NAMES: dict[tuple[str, ...], tuple[tuple[str, ...], frozenset[str]]] = {}
_IS_PLAIN: dict[type, bool] = {}


def parts(keys: tuple[str, ...]) -> tuple[Get | None, Get]:
    """What gives the dictionaries of hooks of a module with such attributes (None where it has too few), and the others."""
    found = _PARTS.get(keys)
    if found is None:
        known = {name for name, value in sys.modules["torch"].nn.Module().__dict__.items() if type(value) is OrderedDict}
        hooks = [name for name in keys if name in known]
        rest = [name for name in keys if name not in known]
        if len(hooks) < 2 or len(rest) < 2 or "_compiled_call_impl" in keys:
            found = None, _nothing
        else:
            found = operator.itemgetter(*hooks), operator.itemgetter(*rest)
        _PARTS[keys] = found
        _NAMES[keys] = (tuple(keys), frozenset(hooks))
    return found


def names(keys: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """All attributes, and which of them are dictionaries of hooks: the same objects for all modules alike."""
    return _NAMES[keys]


def _nothing(attributes: Any) -> tuple[()]:
    return ()


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


def nobodys(hooks: tuple[Any, ...], held: int = 0) -> bool:
    """Whether these are empty `OrderedDict`s that nobody but their module can reach, and `held` containers of the caller's."""
    return (
        operator.countOf(map(type, hooks), OrderedDict) == len(hooks)
        and _refer_to_nothing(hooks)
        and not any(map(weakref.getweakrefcount, hooks))
        and operator.countOf(map(sys.getrefcount, hooks), ALONE + held) == len(hooks)
    )


def _refer_to_nothing(hooks: tuple[Any, ...]) -> bool:
    """Whether there is nothing in them, and they have no attributes (an empty dictionary of these at most)."""
    inside = gc.get_referents(*hooks)
    return not inside or (operator.countOf(map(type, inside), dict) == len(inside) and not any(inside))


def _alone(holder: Iterable[Any]) -> int:
    return next(map(sys.getrefcount, tuple(holder)))


ALONE = _alone({"hooks": OrderedDict[Any, Any]()}.values())
"""What Python counts of an object that a dictionary holds, and a tuple that is looked at."""
