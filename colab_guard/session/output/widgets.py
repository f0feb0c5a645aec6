"""Widgets that were displayed: their models live in the kernel, and are gone with it.

What is kept of one is its text, as it was at the snapshot ("second: 45%|####5     | 9/20"). A widget that comes back with the
cell's state is made anew, by a progress bar or for a name; that one takes the place of the text.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Mapping
from typing import Any

from colab_guard.state import widget_made_anew

WIDGET = "application/vnd.jupyter.widget-view+json"
LONGEST = 2000
_CHANGES = re.compile(r"\|[^|]*\||\[[^\]]*\]")


def model_of(data: Mapping[str, Any]) -> str | None:
    """The id of the widget's model, if `data` displays one."""
    view = data.get(WIDGET)
    return view.get("model_id") if isinstance(view, dict) else None


def living(model_id: str | None) -> Any:
    """The widget of this kernel, or None where it is closed or was another kernel's."""
    module: Any = sys.modules.get("ipywidgets.widgets.widget")
    known = getattr(module, "_instances", None)
    if known is None:  # ipywidgets 7
        known = getattr(getattr(module, "Widget", None), "widgets", {})
    return known.get(model_id)


def come_back(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The display of the widget that came back with the cell's state for the one in `data`; None where none did."""
    widget = widget_made_anew(model_of(data))
    if widget is None or widget.comm is None:
        return None
    return {**data, WIDGET: {**data[WIDGET], "model_id": widget.model_id}, "text/plain": text_of(widget)}


def text_of(widget: Any) -> str:
    """What a front end without widgets would show of it now."""
    from IPython.lib.pretty import pretty

    try:
        return str(pretty(widget))[:LONGEST]
    except ReferenceError:  # a bar of tqdm that is over and gone: its parts still say where it ended
        parts = [getattr(child, "value", None) for child in getattr(widget, "children", ())]
        text = "|".join(part if isinstance(part, str) else "" for part in parts)
        return html.unescape(text).replace("\u2007", " ")[:LONGEST]
    except Exception as error:  # a widget's own words; the cell does not fail for them
        return f"<{type(widget).__name__}: {type(error).__name__}>"


def without_view(data: Mapping[str, Any]) -> dict[str, Any]:
    """What can be shown of a display in this kernel."""
    if living(model_of(data)) is not None:
        return dict(data)
    return {mime: value for mime, value in data.items() if mime != WIDGET}


def same_bar(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether both are a bar of one name at one count, drawn and timed as they may be."""
    if WIDGET not in before or WIDGET not in now:
        return False
    texts = [_CHANGES.sub("", str(data.get("text/plain", ""))).strip() for data in (before, now)]
    return texts[0] == texts[1] != ""
