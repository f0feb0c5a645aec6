"""pyplot's open figures: which there are, under which numbers, and which is the current one.

A figure comes back with its axes, and as the object that the user's names hold. matplotlib gives a figure that is loaded
a new number; here it gets the old one, and figures that the cell had closed are closed. A figure that was open before the
cell and has not been drawn on since is not kept: only its number.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

HELPERS = "matplotlib._pylab_helpers"


class Figures:
    """pyplot's figures from the cell's start on."""

    name = "pyplot's figures"

    def __init__(self) -> None:
        self._before = {id(figure): (figure, _look(figure)) for _, figure in _open()}
        self._carried = False

    def available(self) -> bool:
        return HELPERS in sys.modules

    def get(self) -> list[tuple[Any, Any]] | None:
        """(number, figure) in pyplot's order, the current one last; None in place of a figure that was not touched."""
        found = [(number, None if self._is_untouched(figure) else figure) for number, figure in _open()]
        if not found and not self._before and not self._carried:
            return None
        return found

    def _is_untouched(self, figure: Any) -> bool:
        before = self._before.get(id(figure))
        return before is not None and before[1] == _look(figure)

    def set(self, value: list[tuple[Any, Any]] | None) -> None:
        if value is None:
            if not self.available():
                return
            value = [(number, None) for number, figure in _open() if id(figure) in self._before]
        self._carried = True
        helpers = importlib.import_module(HELPERS)
        managers = {id(manager.canvas.figure): manager for manager in helpers.Gcf.get_all_fig_managers()}
        by_number = {manager.num: manager for manager in managers.values()}
        helpers.Gcf.figs.clear()
        for number, figure in value:
            manager = by_number.get(number) if figure is None else managers.get(id(figure))
            if manager is None:
                continue  # it was open before the cell, and the cell that made it has not been run again
            manager.num = number
            helpers.Gcf._set_new_active_manager(manager)


def _open() -> list[tuple[Any, Any]]:
    helpers = sys.modules.get(HELPERS)
    if helpers is None:
        return []
    return [(manager.num, manager.canvas.figure) for manager in helpers.Gcf.figs.values()]


def _look(figure: Any) -> Any:
    """Enough of a figure to tell whether it was drawn on."""
    return [(id(axes), len(axes.get_children()), axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]
