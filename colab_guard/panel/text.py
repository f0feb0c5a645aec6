"""The panel as lines of text: for terminals, logs and screen readers."""

from __future__ import annotations

from colab_guard.panel.renderer import plain
from colab_guard.panel.view import Bar, Row, View

WIDTH = 24
SIGNS = {"fill": "#", "spare": "=", "other": "-", "bad": "x"}


class TextRenderer:
    """Plain text, no escape codes; `line` is the shortest form."""

    def render(self, view: View, *, static: bool = False) -> str:
        lines = [headline(view, static=static)]
        if view.reason:
            lines.append(f"  {view.reason}")
        lines.append(f"  safety: {plain(view.safety, view.now, static=static)}")
        if view.risk:
            lines.append(f"  {plain(view.risk, view.now, static=static)}")
        lines += [f"  {_bar(bar)}{plain(bar.words, view.now)}" for bar in view.bars]
        lines += [f"    {_row(row)}" for row in view.rows]
        if view.more:
            lines.append(f"    … {view.more} (sweep.results has all)")
        lines += [f"  {fact.label}: {plain(fact.words, view.now, static=static)}" for fact in view.facts]
        lines += [f"  {happening.time}  {happening.text}" for happening in view.events]
        lines += [f"  {what}: {code}" for what, code in view.commands]
        return "\n".join(lines)

    def warnings(self, view: View) -> list[str]:
        """What went another way than it should, and what has no safe point: in words without times."""
        facts = [f"{fact.label}: {plain(fact.words, view.now, static=True)}" for fact in view.facts if fact.label == "no safe point"]
        return [*facts, *(line.text for line in view.events if line.tone in ("warn", "bad"))]

    def line(self, view: View, *, static: bool = False) -> str:
        """State and safety in one line."""
        return f"{headline(view, static=static)}; {plain(view.safety, view.now, static=static)}"


def headline(view: View, *, static: bool = False) -> str:
    """`✓ lora-39: done after 2 h 13 min`."""
    words = f"{view.sign} {view.title}: {view.phase}"
    if view.elapsed:
        words += f" {plain(view.elapsed, view.now)}"
    words += "".join(f", {part}" for part in (view.count, plain(view.eta, view.now, static=static)) if part)
    return words + (f" (as of {view.as_of})" if static else "")


def _row(row: Row) -> str:
    failed = " → ".join(part for part in (row.reason, row.did) if part)
    cells = (f"{row.sign} {row.status}", row.label, row.params, row.metric, row.steps, row.time)
    noted = (f"peak {row.peak}" if row.peak else "", row.commit, failed)
    return " | ".join(cell for cell in (*cells, *noted) if cell)


def _bar(bar: Bar) -> str:
    if bar.total <= 0:
        return f"{bar.label:<5} "
    drawn, filled, at = "", 0, 0.0
    for part in bar.parts:
        at += part.value
        full = min(WIDTH, round(WIDTH * at / bar.total))
        drawn += SIGNS[part.kind] * (full - filled)
        filled = max(full, filled)
    return f"{bar.label:<5} [{drawn}{'.' * (WIDTH - filled)}] "
