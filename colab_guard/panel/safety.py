"""The safety line: what is saved, sent and durable, where a resume would begin, and what is at risk now."""

from __future__ import annotations

from colab_guard.panel.state import PanelState, Reached
from colab_guard.panel.view import Ago, For, Sentence
from colab_guard.panel.words import count

LOST = "the machine is lost"


def safety(state: PanelState) -> tuple[str, Sentence]:
    """Its tone and its words."""
    part = state.safety
    saved = part.saved
    if not state.saves:
        return "warn", ("NOT SAVED: with work() saves nothing",)
    if saved is None:
        if state.phase == "idle":
            return "calm", ("nothing runs",)
        why = f" (refused so far: {part.reason})" if part.reason else ""
        if state.over:
            return "bad", (f"NOT SAVED: this work ended without a commit{why}",)
        return "bad", (f"NOT SAVED: no commit yet{why}; a lost kernel begins again",)
    proof = f" (verified by {saved.proof})" if saved.proof else ""
    words: Sentence = ("saved ", _when(saved), proof, *_far(state), *_resume_point(state, saved))
    if part.failing:
        return "bad", ("the newest snapshot is NOT SAVED: ", part.reason, ". Before it: ", *words)
    if part.refused:
        return "warn", (*words, f". {count(part.refused, 'later snapshot')} refused: {part.reason}")
    if state.mirror.state == "degraded":
        return "warn", words
    return "good", words


def risk(state: PanelState) -> Sentence:
    """What would be lost now, told apart by what is lost: the kernel, or the machine. Empty when nothing runs."""
    if state.phase != "running" or state.started is None:
        return ()
    if not state.saves:
        return ("at risk now: everything, ", For(state.started), " of work, if the kernel dies")
    part = state.safety
    since = state.started if part.saved is None or part.saved.captured is None else part.saved.captured
    kernel: Sentence = ("at risk now: the last ", For(since), " if the kernel dies")
    if part.saved is None:
        kernel = ("at risk now: everything, ", For(since), " of work")
    if state.where is None:
        return (*kernel, f"; all of it if {LOST} (no --to was given)")
    far = _newest(part.durable, part.sent)
    if far is None and part.resumed:
        return (*kernel, f"; all that the mirror has not from before this start, if {LOST}")
    if far is None:
        return (*kernel, f"; all of it if {LOST} (nothing is on the mirror yet)")
    at = f": a new machine goes on at {far.position}" if far.position else ""
    proved = "durable there" if far is part.durable else "sent, not verified there"
    return (*kernel, "; the last ", For(state.started if far.captured is None else far.captured), f" if {LOST} ({proved}{at})")


def _far(state: PanelState) -> Sentence:
    """, sent 40 s ago to FOLDER (not verified there), durable 45 s ago at FOLDER (verified by its md5)."""
    part = state.safety
    words: Sentence = ()
    if part.sent is not None:
        words = (*words, ", sent ", _when(part.sent), f" to {part.sent.where} (not verified there)")
    if part.durable is not None:
        proof = f" (verified by {part.durable.proof})" if part.durable.proof else ""
        words = (*words, ", durable ", _when(part.durable), f" at {part.durable.where}{proof}")
    if words:
        return words
    since = "since this start" if part.resumed else "yet"
    return (f", not sent to {state.where} {since}",) if state.where else (", on this machine only",)


def _resume_point(state: PanelState, saved: Reached) -> Sentence:
    if state.phase == "restored" or (state.phase == "done" and saved.kind == "cell"):
        return (": finished; running the cell again restores its results",)
    return (f": would resume at {saved.position}",) if saved.position else ()


def _newest(*places: Reached | None) -> Reached | None:
    known = [place for place in places if place is not None]
    return max(known, key=lambda place: (place.captured or 0.0, place.at or 0.0)) if known else None


def _when(reached: Reached) -> str | Ago:
    return "before this start" if reached.at is None else Ago(reached.at)
