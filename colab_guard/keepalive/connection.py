"""The widget that pings: the one module of this room that knows anywidget and ipywidgets (7.7 and 8).

It is a widget of its own because a browser's message reaches a busy kernel only on a comm on which the main thread never
sends: the main thread opens and closes it, a worker writes the heartbeat's time, and the thread that hears a ping
answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from importlib.resources import files
from typing import Any

import anywidget
import traitlets
from IPython import display as ipython_display

# IPython does not annotate its display functions
Display: Any = ipython_display

Hear = Callable[[Mapping[str, object]], "dict[str, object] | None"]


class ConnectionWidget(anywidget.AnyWidget):
    """Pings from the page every `every_s` seconds while `active`; shows the last heartbeat and the connection."""

    _esm = (files("colab_guard") / "static" / "connection.js").read_text(encoding="utf-8")

    active = traitlets.Bool(False).tag(sync=True)
    every_s = traitlets.Int(60).tag(sync=True)
    last_heartbeat = traitlets.Float(0.0).tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)


class Connection:
    """A shown `ConnectionWidget`; `hear` is called with each message of the page, its answer is sent back."""

    def __init__(self, every_s: float, hear: Hear, status: str) -> None:
        self._hear = hear
        self._widget = ConnectionWidget(active=True, every_s=max(1, round(every_s)), status=status)
        self._widget.on_msg(self._on_message)
        _hear_on_own_subshell(self._widget)
        self._handle = Display.DisplayHandle()

    def show(self) -> None:
        """Draw it in the output of the running cell."""
        data, metadata = _bundle(self._widget)
        Display.display(data, metadata=metadata, raw=True, display_id=self._handle.display_id)

    def heartbeat(self, at: float) -> None:
        """Tell the page when the kernel last gave a sign of life."""
        self._widget.last_heartbeat = at
        _hear_on_own_subshell(self._widget)

    def close(self, words: str) -> None:
        """Stop the pings, and leave `words` in the widget's place: a closed widget would be drawn as an error."""
        self._widget.active = False
        self._widget.on_msg(self._on_message, remove=True)
        self._handle.update({"text/html": f"<small>{escape(words)}</small>", "text/plain": words}, raw=True)
        layout = self._widget.layout  # a widget of its own, which nothing else closes
        self._widget.close()
        layout.close()

    def _on_message(self, widget: object, content: Mapping[str, object], buffers: object) -> None:
        answer = self._hear(content)
        if answer is not None:
            self._widget.send(answer)


def _hear_on_own_subshell(widget: Any) -> None:
    """Let the page's messages go where the page sends them.

    ipykernel 7.4 notes on each comm who sent on it last (`ipykernel.comm.comm.BaseComm.publish_msg`) and routes what the page
    sends back to there: after our opening or heartbeat, to the main thread, which hears nothing until the cell ends.
    """
    vars(widget.comm).pop("_reply_subshell_id", None)


def _bundle(widget: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    made = widget._repr_mimebundle_()
    data, metadata = made if isinstance(made, tuple) else (made, {})
    return {**data, "text/plain": "keep-alive: pings from this page"}, metadata
