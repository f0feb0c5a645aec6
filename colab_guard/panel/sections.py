"""The view, part by part: each function gives one part of it in words."""

from __future__ import annotations

from dataclasses import replace

from colab_guard.panel.bars import bars
from colab_guard.panel.eta import eta
from colab_guard.panel.facts import facts
from colab_guard.panel.safety import risk, safety
from colab_guard.panel.state import PanelState
from colab_guard.panel.table import ended, table
from colab_guard.panel.view import Bar, For, Happening, Sentence, View
from colab_guard.panel.words import clip, clock_time, date_time, duration

LEAST_FOR_CURVES = 0.3
SENTENCE_BYTES = 400
"""Of a text within a sentence, where there is not room for all."""

# a sign, what it is called, and its tone: colour is never alone
PHASES = {
    "idle": ("○", "idle", "calm"),
    "starting": ("○", "starting", "calm"),
    "running": ("▶", "running", "calm"),
    "done": ("✓", "done", "good"),
    "failed": ("✗", "FAILED", "bad"),
    "stopped": ("■", "stopped", "warn"),
    "restored": ("✓", "done before, results restored", "good"),
}


def view(state: PanelState, now: float, room: float) -> View:
    """All of it; `room` below 1 shortens what is long."""
    sign, phase, tone = PHASES.get(state.phase, ("○", state.phase, "calm"))
    if state.stopping:
        sign, phase, tone = "■", f"stopping {'after this model' if state.stopping_after_run else 'at the next safe point'}", "warn"
    safety_tone, safety_words = safety(state)
    rows, more = table(state, now, room)
    return View(
        now=now,
        as_of=date_time(now),
        title=clip(state.name, max(24, int(100 * room))) or "colab_guard",
        sign=sign,
        phase=phase,
        tone=tone,
        running=state.phase == "running",
        elapsed=_elapsed(state),
        count=_done_of(state),
        eta=eta(state, now),
        reason=clip(state.reason, int(200 * room)),
        safety=_fitted(safety_words, room),
        safety_tone=safety_tone,
        risk=_fitted(risk(state), room),
        bars=tuple(_fitted_bar(bar, room) for bar in bars(state)),
        rows=rows,
        more=more,
        facts=tuple(replace(fact, words=_fitted(fact.words, room)) for fact in facts(state)),
        events=_events(state, room),
        commands=_commands(state),
        asks=_asks(state),
        started=state.started,
        peak_of="" if state.memory is None else "RAM" if state.memory.gpu_used is None else "GPU",
        ended=ended(state),
    )


def _fitted(words: Sentence, room: float) -> Sentence:
    """A sentence with its long texts cut, by their bytes; the times in it stay."""
    limit = int(SENTENCE_BYTES * room)
    if room == 1:
        return words
    return tuple(_cut(part, limit) if isinstance(part, str) and len(part.encode()) > limit else part for part in words)


def _cut(text: str, limit: int) -> str:
    return text.encode()[: limit - len("…".encode())].decode(errors="ignore") + "…"


def _fitted_bar(bar: Bar, room: float) -> Bar:
    return replace(bar, words=_fitted(bar.words, room), series=bar.series if room >= LEAST_FOR_CURVES else None)


def _elapsed(state: PanelState) -> Sentence:
    if state.started is None:
        return ()
    if state.ended is not None:
        return (f"after {duration(state.ended - state.started)}",)
    return ("for ", For(state.started))


def _done_of(state: PanelState) -> str:
    sweep = state.sweep
    return "" if sweep is None else f"{sweep.done + sweep.failed} of {sweep.total} {'model' if sweep.total == 1 else 'models'}"


def _events(state: PanelState, room: float) -> tuple[Happening, ...]:
    shown = state.events if room > 0.3 else state.events[-2:]
    return tuple(Happening(clock_time(line.at), line.tone, clip(line.text, int(220 * room))) for line in shown)


def _commands(state: PanelState) -> tuple[tuple[str, str], ...]:
    if not state.name:
        return ()
    if not state.saves:
        if state.over:
            return ()
        return (("stop: the interrupt button, at once. To have a cell saved, put above it instead", f"%%checkpointed {state.name}"),)
    if state.phase in ("failed", "stopped"):
        return (("to go on, run this cell again; what is saved", "%guard checkpoints"),)
    if state.over:
        return (("what is saved", "%guard checkpoints"),)
    return (
        ("stop at the next safe point: the interrupt button, or in a terminal", f"colab-guard stop {state.name}"),
        ("resume after a loss: this, then the same cells", "%load_ext colab_guard"),
    )


def _asks(state: PanelState) -> tuple[tuple[str, str, str], ...]:
    """What a page may ask while the work runs, and the words that work where the kernel does not hear it."""
    if state.phase != "running" or state.stopping or not state.saves:
        return ()
    stop = "stop after this model" if state.sweep is not None and state.sweep.under_way else "stop at the next safe point"
    instead = f"the interrupt button (finishes the step, saves, stops), or in a terminal: colab-guard stop {state.name}"
    commit = "the cell saves by itself; to save and stop, press the interrupt button"
    return (("stop", stop, instead), ("commit", "commit now", commit))
