"""Widgets that any page can draw, and that stay when their cell has ended.

Two facts about the widget managers of JupyterLab 4 and Notebook 7 decide what is here; both were seen in Chromium:

1. A page draws a widget only if its own anywidget and ipywidgets have versions that the kernel asks for. Where the server and
   the kernel have environments of their own these differ (kernel: ipywidgets 7.7 and anywidget 0.9, page: 8.1 and 0.11), and
   the page says "Click to show javascript error". What we use of both is the same in all of them, so we ask for any version.
   Colab and VS Code fetch the page's half by the version asked for: there the libraries' own words stand.
2. A page that was loaded again while a cell runs has lost that cell's request: what the cell prints, displays or replaces never
   reaches it. The state of a widget does when the cell has ended, for only then the kernel answers such a page; until then it
   says "Loading widget...". So a widget is not closed with its cell: the page would say "model not found" in its place.
"""

from __future__ import annotations

import importlib
from collections import deque
from typing import Any

from colab_guard import hosts

KEPT = 20
"""Widgets of ended cells that stay; a page that is loaded again fetches all of them, about 50 KB each."""

ANY = "*"

_ended: deque[Any] = deque()


def version(own: str) -> str:
    """The version that the page's half of a widget is to have: any, where the page has but one; else `own`."""
    return own if hosts.page_fetches_widgets() else ANY


def any_version() -> dict[str, Any]:
    """The traits with which an `AnyWidget` is drawn by whatever versions the page has."""
    if version("") != ANY:
        return {}
    return {"_model_module_version": ANY, "_view_module_version": ANY, "layout": _layout()}


def _layout() -> Any:
    """A layout of any version; the trait is read-only, so that it can be set by a class alone."""
    widgets, traitlets = (importlib.import_module(name) for name in ("ipywidgets", "traitlets"))
    names = ("_model_module_version", "_view_module_version")
    return type("Layout", (widgets.Layout,), {name: traitlets.Unicode(ANY).tag(sync=True) for name in names})()


def keep(widget: Any) -> None:
    """Let the widget of an ended cell stay, for a page that is loaded again; older ones than `KEPT` are closed."""
    _ended.append(widget)
    while len(_ended) > KEPT:
        _close(_ended.popleft())


def close_kept() -> None:
    """Close all that was kept."""
    while _ended:
        _close(_ended.pop())


def _close(widget: Any) -> None:
    layout = widget.layout  # a widget of its own, which nothing else closes
    widget.close()
    layout.close()
