"""The safety line: what is saved, sent and durable, where a resume would begin, and what is at risk now."""

from __future__ import annotations

from colab_guard.panel.state import PanelState, Reached
from colab_guard.panel.view import Ago, For, Sentence

LOST = "the machine is lost"


def safety(state: PanelState) -> tuple[str, Sentence]:
    """Its tone and its words."""
    part = state.safety
    saved = part.saved
    if saved is None:
        if state.phase == "idle":
            return "calm", ("nothing runs",)
        why = f" (refused so far: {part.reason})" if part.reason else ""
        if state.over:
            return "bad", (f"NOT SAVED: this work ended without a commit{why}",)
        return "bad", (f"NOT SAVED: no commit yet{why}; a lost kernel begins again",)
    words: Sentence = ("saved ", _when(saved), *_far(state), *_resume_point(state, saved))
    if part.failing:
        return "bad", ("the newest snapshot is NOT SAVED: ", part.reason, ". Before it: ", *words)
    if part.refused:
        return "warn", (*words, f". {part.refused} later snapshots refused: {part.reason}")
    if state.mirror.state == "degraded":
        return "warn", words
    return "good", words


def risk(state: PanelState) -> Sentence:
    """What would be lost now, told apart by what is lost: the kernel, or the machine. Empty when nothing runs."""
    if state.phase != "running" or state.started is None:
        return ()
    part = state.safety
    since = part.saved.at if part.saved is not None and part.saved.at is not None else state.started
    kernel: Sentence = ("at risk now: the last ", For(since), " if the kernel dies")
    if part.saved is None:
        kernel = ("at risk now: everything, ", For(since), " of work")
    if state.where is None:
        return (*kernel, f"; all of it if {LOST} (no --to was given)")
    far = _newest(part.durable, part.sent)
    if far is None:
        return (*kernel, f"; all of it if {LOST} (nothing is on the mirror yet)")
    place = f"; if {LOST}, the time since it was {'proved durable' if far is part.durable else 'sent'}"
    at = f" (a new machine goes on at {far.position})" if far.position else ""
    return (*kernel, f"{place}, ", For(far.at or since), at)


def _far(state: PanelState) -> Sentence:
    """, sent 40 s ago to FOLDER, durable 45 s ago at FOLDER."""
    part = state.safety
    words: Sentence = ()
    if part.sent is not None:
        words = (*words, ", sent ", _when(part.sent), f" to {part.sent.where}")
    if part.durable is not None:
        words = (*words, ", durable ", _when(part.durable), f" at {part.durable.where}")
    if words:
        return words
    return (f", not sent to {state.where} yet",) if state.where else (", on this machine only",)


def _resume_point(state: PanelState, saved: Reached) -> Sentence:
    if state.phase in ("done", "restored"):
        return (": finished; running the cell again restores its results",)
    return (f": would resume at {saved.position}",) if saved.position else ()


def _newest(*places: Reached | None) -> Reached | None:
    known = [place for place in places if place is not None]
    return max(known, key=lambda place: place.at or 0.0) if known else None


def _when(reached: Reached) -> str | Ago:
    return "before this start" if reached.at is None else Ago(reached.at)
