"""Where the panel is drawn: a widget in a page, HTML that is replaced in place, or a terminal.

A surface is chosen once, when the panel is shown. Drawing from the sampler's thread only sets a trait or replaces a
display by its id: nothing ever prints from a thread.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from colab_guard.panel.html import HtmlRenderer
from colab_guard.panel.text import TextRenderer
from colab_guard.panel.view import View


class Surface(Protocol):
    """Something that a view can be drawn on, from `show` until `freeze`."""

    live: bool

    def show(self, view: View) -> None:
        """Draw it in the output of the running cell."""

    def update(self, view: View) -> None:
        """Draw the newest view; called from the sampler's thread."""

    def freeze(self, view: View) -> None:
        """Leave a static drawing behind."""


class TerminalSurface:
    """One line at the beginning and at the end of the work, and what warns; everything when there is none."""

    live = False

    def __init__(self) -> None:
        self._told: set[str] = set()

    def show(self, view: View) -> None:
        text = TextRenderer()
        print(text.line(view) if view.running else text.render(view))
        self._told |= set(text.warnings(view))
        if view.running:
            print("".join(f"  {line}\n" for line in text.warnings(view)), end="")

    def update(self, view: View) -> None:
        """A terminal is left alone while the work prints."""

    def freeze(self, view: View) -> None:
        text = TextRenderer()
        print(text.line(view))
        print("".join(f"  {line}\n" for line in text.warnings(view) if line not in self._told), end="")


class HtmlSurface:
    """HTML under a display id, replaced in place: for kernels without anywidget."""

    live = True

    def __init__(self) -> None:
        # IPython does not annotate its display functions
        self._display: Any = importlib.import_module("IPython.display")
        self._handle = self._display.DisplayHandle()

    def show(self, view: View) -> None:
        self._display.display(static_bundle(view, static=False), raw=True, display_id=self._handle.display_id)

    def update(self, view: View) -> None:
        self._handle.update(static_bundle(view, static=False), raw=True)

    def freeze(self, view: View) -> None:
        self._handle.update(static_bundle(view, static=True), raw=True)


class WidgetSurface:
    """The widget, with the HTML beside it for pages that show no widgets, and in its place at the end."""

    live = True

    def __init__(self) -> None:
        self._display: Any = importlib.import_module("IPython.display")
        self._handle = self._display.DisplayHandle()
        self._widget: Any = importlib.import_module("colab_guard.panel.widget").PanelWidget()

    def show(self, view: View) -> None:
        self._widget.view = view.to_json()
        made = self._widget._repr_mimebundle_()
        data, metadata = made if isinstance(made, tuple) else (made, {})
        bundle = {**(data or {}), **static_bundle(view, static=True)}
        self._display.display(bundle, metadata=metadata, raw=True, display_id=self._handle.display_id)

    def update(self, view: View) -> None:
        self._widget.view = view.to_json()

    def freeze(self, view: View) -> None:
        # the view first: a closed widget that is still shown would be drawn as an error
        self._handle.update(static_bundle(view, static=True), raw=True)
        self._widget.view = view.to_json()  # what an executor keeps in the notebook's metadata, though the widget is closed
        layout = self._widget.layout  # a widget of its own, which nothing else closes
        self._widget.close()
        layout.close()


def static_bundle(view: View, *, static: bool) -> dict[str, str]:
    """HTML and text of one view."""
    return {
        "text/html": HtmlRenderer().render(view, static=static),
        "text/plain": TextRenderer().render(view, static=static),
    }


def choose(shell: object) -> Surface:
    """The best surface that `shell` has: a page's widget, else HTML, else the terminal."""
    if getattr(shell, "kernel", None) is None:
        return TerminalSurface()
    try:
        return WidgetSurface()
    except ImportError:  # anywidget or ipywidgets is missing or does not fit: HTML needs neither
        return HtmlSurface()
