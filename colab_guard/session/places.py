"""Words for what `cells.survey` has found: where safe points are, and what it means where there are none."""

from __future__ import annotations

from colab_guard import cells

MOST_TOLD = 3


def before_work(found: cells.Survey) -> tuple[str, ...]:
    """What is told before the work begins: only what has no safe point and is likely to take long; else nothing."""
    loops, calls = found.matters
    lines = [*(call_words(call, found) for call in calls), *(f"{loop_place(loop)}: {without_points(loop, found)}" for loop in loops)]
    more = [f"and {len(lines) - MOST_TOLD} more places; --explain shows all"] if len(lines) > MOST_TOLD else []
    return (*lines[:MOST_TOLD], *more)


def loop_place(loop: cells.SeenLoop) -> str:
    return f"line {loop.line}{f' in {loop.function}' if loop.function else ''}: `{loop.text}`"


def loop_words(loop: cells.SeenLoop, found: cells.Survey) -> str:
    """Where a loop has safe points, or why it has none."""
    if loop.waits:
        return "a generator's: its place is kept wherever it waits"
    return without_points(loop, found) if loop.why else "a safe point at each iteration"


def without_points(loop: cells.SeenLoop, found: cells.Survey) -> str:
    return f"no safe points ({loop.why}){_after_a_loss(loop.line, loop.function, found)}"


def call_words(call: cells.SeenCall, found: cells.Survey) -> str:
    """What a call that loops in a library means for a resume."""
    where = f"line {call.line}{f' in {call.function}' if call.function else ''}: {call.text}"
    if call.steps:
        return f"{where} has a safe point at each step"
    if call.why:
        return f"{where} has no safe point inside: {call.why}{_after_a_loss(call.line, call.function, found)}"
    loops = {True: "may loop", False: "loops"}[call.maybe] + f" inside {call.library}"
    if call.library == cells.COMMAND:
        loops = "runs outside the notebook"
    hint = f" ({call.hint})" if call.hint else ""
    return f"{where} {loops}: no safe point until it returns{hint}{_after_a_loss(call.line, call.function, found)}"


def _after_a_loss(line: int, function: str, found: cells.Survey) -> str:
    if not found.inside:
        return "; after a loss this cell restarts from its start"
    return f"; after a loss it restarts from line {line}{f' of {function}' if function else ''}"
