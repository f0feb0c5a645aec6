"""Functions and closures of the notebook, against the live `__main__`.

What existed before the cell under the same name travels by that name; what can change in it (defaults, attributes, the
variables that it closes over) travels beside the graph and is put back into the live one. What the cell
defined travels by value, with the live namespace as its globals. Closure cells are objects of their own here, so that
functions which share a variable go on sharing it (cloudpickle gives each its own).
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from colab_guard.errors import CannotResume
from colab_guard.state import codes, tokens, training_objects
from colab_guard.state.blocks import RESTORING
from colab_guard.state.things import ATOMS

if TYPE_CHECKING:
    from colab_guard.state.live import Live
    from colab_guard.state.pickler import GraphPickler


def importable(thing: Any) -> bool:
    """Whether `thing` is what its module, imported anew, has under its qualified name."""
    module = module_of(thing)
    if module is None or module.__name__ == "__main__":
        return False
    found: Any = module
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is thing


def module_of(thing: Any) -> types.ModuleType | None:
    """The module that `thing` says it is of; imported, where it is a part of a library that nobody has asked for yet.

    `numpy.recarray` says "numpy.rec", which `import numpy` leaves out: not found, it would travel by value and come back
    as another class than the library's.
    """
    name = getattr(thing, "__module__", None)
    if not isinstance(name, str):
        return None
    if name in sys.modules or name.partition(".")[0] not in sys.modules:
        return sys.modules.get(name)
    return codes.library_module(name)


def reduce_function(pickler: GraphPickler, function: Any) -> Any:
    if importable(function):
        return NotImplemented
    if (optimizer := training_objects.stepping_optimizer(function)) is not None:
        return training_objects.rebuild_counted_step, (optimizer,)
    live = pickler.live
    notebook = function.__globals__ is live.namespace
    if notebook and live.is_by_name(function):
        pickler.functions.setdefault(function.__qualname__, function)
        return by_name, (function.__qualname__,)
    module = None if notebook else _module_of(function.__globals__)
    if not notebook and module is None:
        return NotImplemented
    code = function.__code__
    code_id = live.code_id(code) if live.code_id is not None else None
    state = {
        "defaults": function.__defaults__,
        "kwdefaults": function.__kwdefaults__,
        "attributes": dict(function.__dict__),
        "doc": function.__doc__,
        "module": function.__module__,
        "qualname": function.__qualname__,
        "annotations": dict(function.__annotations__) if notebook else {},
    }
    if parameters := getattr(function, "__type_params__", ()):
        state["type_params"] = parameters
    text = codes.file_text(code.co_filename) if code_id is None and notebook else None
    if text is not None and live.secrets is not None:
        text = tokens.scrubbed(text)  # it serves people only
    made = (code if code_id is None else None, code_id, function.__name__, function.__closure__, module, text)
    return rebuild_function, made, state, None, None, set_function


def _module_of(namespace: dict[str, Any]) -> str | None:
    name = namespace.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    return name if module is not None and module.__dict__ is namespace else None


def by_name(qualified: str) -> Any:
    live = RESTORING.live
    found = live.look_up(qualified, live.start)
    if found is None:
        found = live.look_up(qualified, live.namespace)
    if found is None:
        raise CannotResume(f"the snapshot needs {qualified!r} of the notebook: run the cell that defines it first")
    return found


def this_namespace() -> Any:
    return RESTORING.live.namespace


def rebuild_function(
    code: Any, code_id: str | None, name: str, closure: Any, module: str | None, text: str | None = None
) -> Any:
    """`text`: that of the cell which defined it, for tracebacks, `inspect` and comparisons in a kernel that never ran it."""
    live = RESTORING.live
    if text is not None:
        codes.remember_file(code.co_filename, text)
    if code_id is not None:
        code = live.code_for(code_id) if live.code_for is not None else None
        if code is None:
            raise CannotResume(f"the code of {name}() is not in this cell any more")
    if module is None:
        namespace = live.namespace
    else:
        __import__(module)
        namespace = sys.modules[module].__dict__
    return types.FunctionType(code, namespace, name, None, closure)


def set_function(function: Any, state: dict[str, Any]) -> None:
    function.__defaults__ = state["defaults"]
    function.__kwdefaults__ = state["kwdefaults"]
    function.__dict__.update(state["attributes"])
    function.__doc__ = state["doc"]
    function.__module__ = state["module"]
    function.__qualname__ = state["qualname"]
    if state["annotations"]:
        function.__annotations__ = state["annotations"]
    if "type_params" in state:
        function.__type_params__ = state["type_params"]


def reduce_cell(pickler: GraphPickler, cell: Any) -> Any:
    holder = pickler.live_cells().get(id(cell))
    made: tuple[Any, ...] = (types.CellType, ()) if holder is None else (live_cell, holder)
    try:
        content = cell.cell_contents
    except ValueError:
        return made
    return (*made, (content,), None, None, set_cell if holder is None else set_live_cell)


def set_cell(cell: Any, content: tuple[Any]) -> None:
    (cell.cell_contents,) = content


def live_cell(qualified: str, place: int) -> Any:
    """The variable of a function that was there before: who shares it goes on sharing it."""
    return by_name(qualified).__closure__[place]


def set_live_cell(cell: Any, content: tuple[Any]) -> None:
    from colab_guard.state.pickler import Placeholder

    if not isinstance(content[0], Placeholder):  # what could not be kept stays as it is here
        set_cell(cell, content)


def function_data(function: types.FunctionType) -> dict[str, Any]:
    """What a cell may have changed in a function that was there before; empty for most."""
    kept = {
        "defaults": function.__defaults__ if _may_change(function.__defaults__ or ()) else None,
        "kwdefaults": function.__kwdefaults__ if _may_change((function.__kwdefaults__ or {}).values()) else None,
        "attributes": dict(function.__dict__),
        "cells": function.__closure__,
    }
    return {name: part for name, part in kept.items() if part}


def _may_change(values: Iterable[Any]) -> bool:
    return any(not isinstance(value, ATOMS) for value in values)


def set_function_data(function: types.FunctionType, data: dict[str, Any], lost: type) -> None:
    """Put it back; cells have got their contents already. What is `lost`, and what cannot change, stays as it is here."""
    stays = (lost, *ATOMS)
    here = function.__defaults__ or ()
    if len(here) == len(data.get("defaults", ())) > 0:
        pairs = zip(data["defaults"], here, strict=True)
        function.__defaults__ = tuple(own if isinstance(kept, stays) else kept for kept, own in pairs)
    by_word = function.__kwdefaults__ or {}
    for name, kept in data.get("kwdefaults", {}).items():
        if not isinstance(kept, stays) and name in by_word:
            by_word[name] = kept
    attributes = {name: kept for name, kept in data.get("attributes", {}).items() if not isinstance(kept, lost)}
    function.__dict__.update(attributes)


def live_cells(live: Live) -> dict[int, tuple[str, int]]:
    """The cells of functions that travel by name, by address: whose they are, and in which place."""
    functions = [f for f in live.start.values() if isinstance(f, types.FunctionType) and f.__closure__ and live.is_by_name(f)]
    return {id(cell): (f.__qualname__, place) for f in functions for place, cell in enumerate(f.__closure__ or ())}
