"""Where the panel is drawn: a widget in a page, HTML that is replaced in place, or a terminal.

A surface is chosen once, when the panel is shown. Drawing from the sampler's thread only sets a trait or replaces a
display by its id: nothing ever prints from a thread.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from colab_guard import pages
from colab_guard.keepalive.heartbeat import hears_while_busy
from colab_guard.panel.html import HtmlRenderer, styled_by
from colab_guard.panel.text import TextRenderer
from colab_guard.panel.view import LIMIT_BYTES, Row, View

Hear = Callable[[Mapping[str, object]], "dict[str, object] | None"]


class Surface(Protocol):
    """Something that a view can be drawn on, from `show` until `freeze`."""

    live: bool

    def show(self, view: View) -> None:
        """Draw it in the output of the running cell."""

    def update(self, view: View) -> bool:
        """Draw the newest view; called from the sampler's thread. False: there is more to tell at the next turn."""

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

    def update(self, view: View) -> bool:
        """A terminal is left alone while the work prints."""
        return True

    def freeze(self, view: View) -> None:
        text = TextRenderer()
        print(text.line(view))
        print("".join(f"  {line}\n" for line in text.warnings(view) if line not in self._told), end="")


class HtmlSurface:
    """HTML under a display id, replaced in place: for kernels without anywidget.

    The style stands in a display of its own while the work runs, so that it is not sent each second.
    """

    live = True

    def __init__(self) -> None:
        # IPython does not annotate its display functions
        self._display: Any = importlib.import_module("IPython.display")
        self._handle = self._display.DisplayHandle()
        self._style: Any = None

    def show(self, view: View) -> None:
        if view.running:
            self._style = self._display.DisplayHandle()
            style = {"text/html": styled_by(), "text/plain": ""}
            self._display.display(style, raw=True, display_id=self._style.display_id)
        self._display.display(self._drawn(view), raw=True, display_id=self._handle.display_id)

    def update(self, view: View) -> bool:
        self._handle.update(self._drawn(view), raw=True)
        return True

    def freeze(self, view: View) -> None:
        self._handle.update(static_bundle(view), raw=True)
        if self._style is not None:
            self._style.update({"text/html": "", "text/plain": ""}, raw=True)

    def _drawn(self, view: View) -> dict[str, str]:
        return static_bundle(view) if self._style is None else live_bundle(view)


class WidgetSurface:
    """The widget, with the HTML beside it for pages that show no widgets, and in its place at the end."""

    live = True

    def __init__(self, hear: Hear | None = None) -> None:
        widget = importlib.import_module("colab_guard.panel.widget")
        self._display: Any = importlib.import_module("IPython.display")
        self._handle = self._display.DisplayHandle()
        self._controls: Any = widget.Controls(hear, hears=hears_while_busy()) if hear is not None else None
        self._widget: Any = widget.PanelWidget(controls=self._controls.model_id if self._controls else "", **pages.any_version())

    def show(self, view: View) -> None:
        self._widget.tell_all(view)
        made = self._widget._repr_mimebundle_()
        data, metadata = made if isinstance(made, tuple) else (made, {})
        bundle = {**(data or {}), **static_bundle(view)}
        self._display.display(bundle, metadata=metadata, raw=True, display_id=self._handle.display_id)

    def update(self, view: View) -> bool:
        told: bool = self._widget.tell(view)
        return told

    def freeze(self, view: View) -> None:
        self._handle.update(static_bundle(view), raw=True)
        self._widget.tell_all(view)  # for pages loaded again meanwhile, and for executors that keep widgets' states
        self._widget.controls = ""
        pages.keep(self._widget)
        if self._controls is not None:
            self._controls.close()


def static_bundle(view: View) -> dict[str, str]:
    """HTML and text of one view, which stand by themselves."""
    return {
        "text/html": HtmlRenderer().render(view, static=True),
        "text/plain": TextRenderer().render(view, static=True),
    }


def live_bundle(view: View) -> dict[str, str]:
    """HTML without its style, and one line of text: at most `LIMIT_BYTES`, for which it is shortened."""
    made: dict[str, str] = {}
    for shorter in _ever_shorter(view):
        made = {"text/html": HtmlRenderer().render(shorter, styled=False), "text/plain": TextRenderer().line(view)}
        if bundle_bytes(made) <= LIMIT_BYTES:
            break
    return made


def bundle_bytes(bundle: Mapping[str, str]) -> int:
    """What it weighs in a message."""
    return len(json.dumps(bundle, ensure_ascii=False).encode())


def _ever_shorter(view: View) -> Iterator[View]:
    """As it is; without the curves of memory; with fewer and fewer rows; without any curve."""
    yield view
    view, more = replace(view, bars=tuple(bar if bar.label == "run" else replace(bar, series=None) for bar in view.bars)), view.more
    yield view
    for left_out in range(1, len(view.rows) + 1):
        rows = tuple(row for row in view.rows if row is not _first_to_go(view.rows))
        view = replace(view, rows=rows, more=", ".join(filter(None, [f"{left_out} not drawn while it runs", more])))
        yield view
    yield replace(view, bars=tuple(replace(bar, series=None) for bar in view.bars))


def _first_to_go(rows: tuple[Row, ...]) -> Row:
    """The oldest that is done; where none is, the oldest of all."""
    return next((row for row in rows if row.status.startswith("done")), rows[0])


def choose(shell: object, hear: Hear | None = None) -> Surface:
    """The best surface that `shell` has: a page's widget, else HTML, else the terminal. `hear` answers what the page asks."""
    if getattr(shell, "kernel", None) is None:
        return TerminalSurface()
    try:
        return WidgetSurface(hear)
    except ImportError:  # anywidget or ipywidgets is missing or does not fit: HTML needs neither
        return HtmlSurface()
