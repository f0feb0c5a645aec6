"""Decorators of libraries that only enter a context manager and call the notebook's function in it (`@torch.no_grad()`).

Between the caller and the function stands a frame of the library then. A resume makes that frame again as well: the
wrapper runs as always, with the function's own frame, made again, in the place of the function that it wraps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CellType, FrameType, FunctionType, MethodType
from typing import Any

THIN = frozenset(
    {
        ("torch.utils._contextlib", "context_decorator.<locals>.decorate_context"),
        ("torch.amp.autocast_mode", "autocast_decorator.<locals>.decorate_autocast"),
    }
)
"""Module and qualified name of the code. What they do around the call may be done twice: it only switches a mode."""


def is_thin(called: FrameType | FunctionType) -> bool:
    code, names = (called.f_code, called.f_globals) if isinstance(called, FrameType) else (called.__code__, called.__globals__)
    return (names.get("__name__"), code.co_qualname) in THIN


def unwrapped(callee: Any) -> tuple[Any, list[FunctionType]]:
    """What thin wrappers lead to, and those wrappers, outermost first."""
    around: list[FunctionType] = []
    while isinstance(function := callee.__func__ if isinstance(callee, MethodType) else callee, FunctionType) and is_thin(function):
        around.append(function)
        callee = function.__wrapped__  # type: ignore[attr-defined]
    return callee, around


def through(around: Sequence[FunctionType], go_on: Callable[..., Any]) -> Any:
    """Call the wrappers `around`, outermost first, with `go_on` in the place of the function in their midst."""
    __tracebackhide__ = True
    called = go_on
    for wrapper in reversed(around):
        called = _around(wrapper, called)
    return called()


def _around(wrapper: FunctionType, called: Callable[..., Any]) -> FunctionType:
    inner = wrapper.__wrapped__  # type: ignore[attr-defined]
    cells = tuple(CellType(called) if cell.cell_contents is inner else cell for cell in wrapper.__closure__ or ())
    return FunctionType(wrapper.__code__, wrapper.__globals__, wrapper.__name__, wrapper.__defaults__, cells)
