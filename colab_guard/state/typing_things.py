"""Type variables, new types and aliases of the notebook, with the module and the properties that they were made with.

Python pickles most of them by their names in `__main__`, where a kernel that never ran the cell has none.
"""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from cloudpickle import cloudpickle

from colab_guard.state.functions import by_name, importable

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

KINDS = tuple(f"typing.{kind}" for kind in ("TypeVar", "ParamSpec", "TypeVarTuple", "NewType", "TypeAliasType"))
WORDS = ("bound", "covariant", "contravariant", "infer_variance")


def reduce_of_typing(pickler: GraphPickler, thing: Any) -> Any:
    kind, name = type(thing).__name__, thing.__name__
    if pickler.live.start.get(name) is thing:
        return by_name, (name,)
    if _is_librarys(thing):
        return NotImplemented
    words = {word: getattr(thing, f"__{word}__") for word in WORDS if hasattr(thing, f"__{word}__")}
    rest: tuple[Any, ...] = ()
    if kind == "TypeVar":
        rest = thing.__constraints__
    elif kind == "NewType":
        rest, words = (thing.__supertype__,), {}
    elif kind == "TypeAliasType":
        rest, words = (thing.__value__,), {"type_params": thing.__type_params__}
    elif kind == "TypeVarTuple":
        words = {}
    if hasattr(thing, "has_default") and thing.has_default():
        words["default"] = thing.__default__
    tracker = "" if kind == "TypeAliasType" else cloudpickle._get_or_create_tracker_id(thing)  # it has no weak references
    return make_of_typing, (tracker, kind, name, rest, words, getattr(thing, "__module__", None))


def _is_librarys(thing: Any) -> bool:
    try:
        return importable(thing)
    except AttributeError:  # no qualified name: those of type variables are their names
        module = cloudpickle._lookup_module_and_qualname(thing, name=thing.__name__)
        return module is not None


def make_of_typing(tracker: str, kind: str, name: str, rest: tuple[Any, ...], words: dict[str, Any], module: str | None) -> Any:
    """As it was; where it is there already, that one."""
    found = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(tracker) if tracker else None
    if found is not None:
        return found
    names = {"__name__": module, "make": getattr(typing, kind), "name": name, "rest": rest, "words": words}
    made = eval("make(name, *rest, **words)", names)  # they are of the module that their maker's globals name
    if tracker and made.__module__ != module:
        made.__module__ = module
    return cloudpickle._lookup_class_or_track(tracker, made) if tracker else made
