"""Context managers on the way to a position: which come back as they were, and which are made anew.

The notebook's own come back entered, with their state. A library's generator that serves for one `with` is made anew by the
expression that had made it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any


def serves_once(manager: Any) -> bool:
    """Whether it is a generator with a `yield`, made by `@contextmanager`."""
    return type(manager).__name__ == "_GeneratorContextManager"


def is_notebooks(manager: Any) -> bool:
    """Whether it is code of the notebook."""
    if serves_once(manager):
        frame = manager.gen.gi_frame
        return frame is not None and frame.f_globals.get("__name__") == "__main__"
    return type(manager).__module__ == "__main__"


class ReEntered:
    """A context manager that was entered before the loss: its restored state is that of the entered one."""

    def __init__(self, manager: Any) -> None:
        self.re_entered = manager

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
        __tracebackhide__ = True
        return type(self.re_entered).__exit__(self.re_entered, kind, error, trace)


def kept(manager: Any) -> Any:
    """What a snapshot keeps of a manager that is entered; None for one that is made anew."""
    if isinstance(manager, ReEntered):
        manager = manager.re_entered
    return None if serves_once(manager) and not is_notebooks(manager) else manager
