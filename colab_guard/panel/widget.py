"""The widget: the one module of this room that knows anywidget (ipywidgets 7.7 and 8). Only Python writes to it.

What the browser has to say goes over the connection widget (`keepalive`): a comm on which the kernel sends is not heard
while a cell runs.
"""

from __future__ import annotations

from importlib.resources import files

import anywidget
import traitlets


class PanelWidget(anywidget.AnyWidget):
    """Draws `view` (a `View` as JSON); its source is in js/src."""

    _esm = (files("colab_guard") / "static" / "panel.js").read_text(encoding="utf-8")

    view = traitlets.Dict().tag(sync=True)
