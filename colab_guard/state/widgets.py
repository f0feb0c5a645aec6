"""ipywidgets' widgets: a model in the kernel, and one in each page that is gone with the kernel.

What is kept is what the model says of itself (its traits), the functions that listen, and attributes that were put on it. A new
widget is made of these, with an id of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

LISTENERS = ("_click_handlers", "_submission_callbacks", "_msg_callbacks", "_display_callbacks")
_made_anew: dict[str, Any] = {}


def widget_made_anew(model: str | None) -> Any:
    """The widget that came back in this process for the one whose model had this id; None where there is none."""
    return None if model is None else _made_anew.get(model)


def reduce_widget(pickler: GraphPickler, widget: Any) -> Any:
    from traitlets import EventHandler

    traits = {name: value for name, value in widget._trait_values.items() if name in widget.keys and not name.startswith("_")}
    notifiers = [
        (name, kind, handler)
        for name, kinds in widget._trait_notifiers.items()
        for kind, handlers in kinds.items()
        for handler in handlers
        if not isinstance(handler, EventHandler) and getattr(handler, "__self__", None) is not widget
    ]
    called = {name: list(getattr(widget, name).callbacks) for name in LISTENERS if hasattr(getattr(widget, name, None), "callbacks")}
    called = {name: own for name, found in called.items() if (own := [f for f in found if getattr(f, "__self__", None) is not widget])}
    attributes = {name: value for name, value in vars(widget).items() if not name.startswith("_") and name != "comm"}
    state = {"traits": traits, "notifiers": notifiers, "called": called, "attributes": attributes}
    return make_widget, (type(widget), widget.model_id if widget.comm is not None else None), state, None, None, fill_widget


def make_widget(kind: Any, model: str | None) -> Any:
    widget = kind()
    if model is None:
        widget.close()
    else:
        _made_anew[model] = widget
    return widget


def fill_widget(widget: Any, state: dict[str, Any]) -> None:
    traits = dict(state["traits"])
    bounds = [name for name in ("min", "max") if name in traits]
    with widget.hold_trait_notifications():  # a value is valid between its bounds only when all of them are set
        for name in [*bounds, *(name for name in traits if name not in bounds)]:
            setattr(widget, name, traits[name])
    for name, kind, handler in state["notifiers"]:
        widget.observe(handler, names=name, type=kind)
    for name, functions in state["called"].items():
        for function in functions:
            getattr(widget, name).register_callback(function)
    vars(widget).update(state["attributes"])
