"""What a person sees while guarded work runs: events come in, drawings go out.

`PanelModel` listens to the bus and keeps one frozen `PanelState`, made by a pure reducer. `compose` turns it into a
`View`: words, bars and rows, bounded in size however long the sweep is. Three renderers draw the same view: `TextRenderer`
for terminals, logs and screen readers, `HtmlRenderer` for saved notebooks, and the widget in the page, whose source is in
js/. `Panel` is what the session drives. The room knows nothing of stores, cells or memory: only their events.
"""

from __future__ import annotations

from colab_guard.panel.html import HtmlRenderer
from colab_guard.panel.panel import Panel, PanelModel
from colab_guard.panel.reducer import reduce
from colab_guard.panel.state import PanelState
from colab_guard.panel.text import TextRenderer
from colab_guard.panel.view import View, compose

__all__ = ["HtmlRenderer", "Panel", "PanelModel", "PanelState", "TextRenderer", "View", "compose", "reduce"]
