"""What steps of several kinds do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from colab_guard.events import Event
from colab_guard.panel.state import EVENTS, Line, MirrorPart, PanelState
from colab_guard.panel.words import clip

Step = Callable[[PanelState, Any, float], PanelState]
Steps = dict[type[Event], Step]
LONG_LINE = 800
"""Characters of a line that names files: all of them are to be read."""


def said(state: PanelState, at: float, tone: str, text: str, limit: int = 140) -> PanelState:
    """With one more line among the events."""
    return replace(state, events=(*state.events, Line(at, tone, clip(text, limit)))[-EVENTS:])


def fresh(state: PanelState, name: str) -> PanelState:
    """Another work begins: what is known of the machine stays; its signs of life are counted from its own beginning."""
    return PanelState(name=clip(name, 100), phase="starting", memory=state.memory)


def heard_of(mirror: MirrorPart) -> MirrorPart:
    """A mirror that has taken or given a commit works; what is known in more detail stays."""
    return MirrorPart("ok") if mirror.state in ("waiting", "off") else mirror


def told_before(state: PanelState, name: str) -> PanelState:
    """The state for what is said while a store is opened, before the next work starts."""
    if state.over:
        return fresh(state, name)
    return replace(state, name=clip(name, 100), phase="starting") if state.phase == "idle" else state
