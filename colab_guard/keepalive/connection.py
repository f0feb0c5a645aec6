"""The widget that pings: the one module of this room that knows anywidget and ipywidgets (7.7 and 8).

It is a widget of its own because a browser's message reaches a busy kernel only on a comm on which the main thread never
sends: the main thread opens and closes it, a worker writes the heartbeat's time, and the thread that hears a ping
answers it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import anywidget
import ipykernel
import traitlets
from IPython import display as ipython_display

from colab_guard import pages

# IPython does not annotate its display functions
Display: Any = ipython_display

Hear = Callable[[Mapping[str, object]], "dict[str, object] | None"]


class ConnectionWidget(anywidget.AnyWidget):
    """Pings from the page every `every_s` seconds while `active`; shows the last heartbeat and the connection.

    What each trait means is told in js/src/connection.js.
    """

    _esm = (files("colab_guard") / "static" / "connection.js").read_text(encoding="utf-8")

    active = traitlets.Bool(False).tag(sync=True)
    every_s = traitlets.Int(60).tag(sync=True)
    beat_s = traitlets.Int(10).tag(sync=True)
    last_heartbeat = traitlets.Float(0.0).tag(sync=True)
    beats = traitlets.Int(0).tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)
    resume = traitlets.Unicode("").tag(sync=True)
    kernel_id = traitlets.Unicode("").tag(sync=True)
    nonce = traitlets.Unicode("").tag(sync=True)
    page = traitlets.Unicode("").tag(sync=True)
    ended = traitlets.Unicode("").tag(sync=True)


class Connection:
    """A shown `ConnectionWidget`; `hear` is called with each message of the page, its answer is sent back.

    every_s  seconds between pings; `beat_s` those between two calls of `heartbeat`
    status   the host's rule in words; `resume` what to do if the kernel is lost
    nonce    with which the page around is told that work runs, at the origin `page`; "" tells nobody
    """

    def __init__(
        self,
        every_s: float,
        hear: Hear,
        status: str,
        *,
        beat_s: float = 10.0,
        resume: str = "",
        nonce: str = "",
        page: str = "",
    ) -> None:
        self._hear = hear
        self._beating = threading.Lock()
        self._widget = ConnectionWidget(
            active=True,
            every_s=max(1, round(every_s)),
            beat_s=max(1, round(beat_s)),
            status=status,
            resume=resume,
            kernel_id=_kernel_id(),
            nonce=nonce,
            page=page,
            **pages.any_version(),
        )
        self._widget.on_msg(self._on_message)
        _hear_on_own_subshell(self._widget)
        self._handle = Display.DisplayHandle()

    def show(self) -> None:
        """Draw it in the output of the running cell."""
        data, metadata = _bundle(self._widget)
        Display.display(data, metadata=metadata, raw=True, display_id=self._handle.display_id)

    def heartbeat(self, at: float) -> None:
        """Tell the page when the kernel last gave a sign of life; called by two threads."""
        with self._beating, self._widget.hold_sync():
            self._widget.beats += 1
            self._widget.last_heartbeat = at
        _hear_on_own_subshell(self._widget)

    def news(self, title: str, text: str) -> None:
        """Have the browser notify, where the user has allowed it and the page still hears this widget."""
        self._widget.send({"type": "news", "title": title, "text": text})
        _hear_on_own_subshell(self._widget)

    def say(self, words: str) -> None:
        """Leave other `words` in the place of the closed widget."""
        self._widget.ended = words
        self._handle.update({"text/html": f"<small>{escape(words)}</small>", "text/plain": words}, raw=True)

    def close(self, words: str) -> None:
        """Stop the pings, and leave `words` in the widget's place.

        The widget itself stays: a page that was loaded again meanwhile has not heard of the words, asks for the widget when the
        cell has ended, and would draw an error if it were gone.
        """
        self._widget.active = False
        self._widget.on_msg(self._on_message, remove=True)
        self.say(words)

    def dispose(self) -> None:
        """Nothing more is said in it: it is left to `pages`."""
        pages.keep(self._widget)

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


def _kernel_id() -> str:
    """The id by which a Jupyter server knows this kernel: it names the connection file by it; "" for other names."""
    try:
        path = Path(ipykernel.get_connection_file())
    except RuntimeError:  # no kernel, or one that was started inside another program
        return ""
    match = re.fullmatch(r"kernel-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", path.stem)
    return match[1] if match else ""


def _bundle(widget: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    made = widget._repr_mimebundle_()
    data, metadata = made if isinstance(made, tuple) else (made, {})
    return {**data, "text/plain": "keep-alive: pings from this page"}, metadata
