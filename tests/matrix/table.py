"""The table that the matrix ends with."""

from __future__ import annotations

from collections.abc import Sequence

from tests.matrix.trial import Trial

HEADS = ("cell", "stack", "depth", "killed at", "twice", "verdict", "s")


def row(trial: Trial) -> tuple[str, ...]:
    return (trial.cell, trial.stack, trial.depth, trial.kills, trial.twice, trial.verdict, f"{trial.seconds:.0f}")


def drawn(trials: Sequence[Trial]) -> str:
    """One line for each trial, the notes of those that fell short below, and a line that says all."""
    rows = [HEADS, *map(row, trials)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(HEADS))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    noted = [f"{trial.cell} on {trial.stack}: {note}" for trial in trials for note in trial.notes]
    if noted:
        lines += ["", *noted]
    passed_over = sum(trial.verdict == "passed over" for trial in trials)
    fell = sum(not trial.holds for trial in trials)
    lines += ["", f"{len(trials) - passed_over - fell} same, {fell} not, {passed_over} passed over"]
    return "\n".join(lines)
