"""The widgets: the one module of this room that knows anywidget and ipywidgets (7.7 and 8).

They are two, because a comm on which the kernel's main thread sends is not heard while a cell runs. To `PanelWidget` only Python
writes. On `Controls` only the page writes, and Python answers in the thread that hears.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import anywidget
import ipywidgets
import traitlets

from colab_guard import pages
from colab_guard.panel.view import PIECES, View

Hear = Callable[[Mapping[str, object]], "dict[str, object] | None"]


class Controls(ipywidgets.Widget):
    """What the page asks for comes here; it has no view of its own. `hear` answers a message, None: no answer."""

    _model_module_version = traitlets.Unicode(pages.version(ipywidgets.Widget._model_module_version.default_value)).tag(sync=True)
    hears = traitlets.Bool(False).tag(sync=True)

    def __init__(self, hear: Hear, *, hears: bool) -> None:
        super().__init__(hears=hears)
        self._hear = hear
        self.on_msg(self._on_message)
        # ipykernel 7.4 sends what comes for a comm to whoever sent on it last: the main thread, which has just opened it
        comm: Any = self.comm
        vars(comm).pop("_reply_subshell_id", None)

    def _on_message(self, widget: object, content: Mapping[str, object], buffers: object) -> None:
        answer = self._hear(content)
        if answer is not None:
            self.send(answer)


class PanelWidget(anywidget.AnyWidget):
    """Draws `view` (a `View` as JSON) and, on demand, the ended runs in `ended0`...; its source is in js/src.

    `controls`: the id of the `Controls`; "" where there are none.
    """

    _esm = (files("colab_guard") / "static" / "panel.js").read_text(encoding="utf-8")

    view = traitlets.Dict().tag(sync=True)
    controls = traitlets.Unicode("").tag(sync=True)
    # a message carries only what has changed: one piece at a time
    locals().update({f"ended{at}": traitlets.List().tag(sync=True) for at in range(PIECES)})

    def tell(self, view: View) -> bool:
        """Send the view, and one piece of the ended runs if one has changed; False where more have."""
        pieces = view.pieces()
        changed = [at for at, piece in enumerate(pieces) if getattr(self, f"ended{at}") != piece]
        with self.hold_sync():
            self.view = view.to_json()
            for at in changed[:1]:
                setattr(self, f"ended{at}", pieces[at])
        return len(changed) <= 1

    def tell_all(self, view: View) -> None:
        """Set everything at once: before the widget is shown, or when the last state is to stay."""
        told: dict[str, Any] = {f"ended{at}": piece for at, piece in enumerate(view.pieces())}
        with self.hold_sync():
            self.set_trait("view", view.to_json())
            for name, piece in told.items():
                self.set_trait(name, piece)
