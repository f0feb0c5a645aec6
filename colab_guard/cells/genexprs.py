"""Waiting generator expressions: between two items one with a single `for` is its code, and what is left to go over.

So it needs no way back into its middle: the same code over the rest gives the same items. One with a second `for` waits
inside that, and one whose variable a lambda has caught shares it with that lambda: these are refused by name.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import CellType, CodeType, FunctionType
from typing import Any

from colab_guard import state

NAME = "<genexpr>"
OVER = ".0"
"""What Python calls the iterator that a generator expression was given."""


def is_expression(generator: Any) -> bool:
    return bool(generator.gi_code.co_name == NAME)


def parts(
    generator: Any, module: str | None, held: Callable[[], list[Any]], cells: Callable[[], Mapping[str, CellType]]
) -> tuple[CodeType, str, tuple[CellType, ...], str | None, Any]:
    """What `make` is to be given. `held` gives what lies on the generator's stack, `cells` its shared variables."""
    code = generator.gi_code
    over = generator.gi_frame.f_locals.get(OVER)
    status = inspect.getgeneratorstate(generator)
    if status == inspect.GEN_RUNNING:
        raise state.CannotKeep("a generator expression is running")
    if code.co_cellvars:
        raise state.CannotKeep(f"a generator expression whose variable is caught by a function in it (line {code.co_firstlineno})")
    if status == inspect.GEN_SUSPENDED and [id(value) for value in held() if value is not None] != [id(over)]:
        raise state.CannotKeep(f"a generator expression that waits inside its second `for` (line {code.co_firstlineno})")
    shared = cells() if code.co_freevars else {}
    return code, generator.__qualname__, tuple(shared[name] for name in code.co_freevars), module, over


def make(
    namespace: dict[str, Any], code: CodeType, qualname: str, closure: tuple[CellType, ...], module: str | None, over: Any
) -> Any:
    """The expression over what is left of `over`."""
    if module is not None:
        namespace = importlib.import_module(module).__dict__
    function = FunctionType(code, namespace, NAME, None, closure)
    function.__qualname__ = qualname
    return function(over)
