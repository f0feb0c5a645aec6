"""Bars and small curves as HTML: what decorates the words."""

from __future__ import annotations

from html import escape

from colab_guard.panel.view import Bar, Series

HEIGHT = 26
"""Of a curve, in units of its own; a hundred are its width."""


def bar(one: Bar, words: str) -> str:
    """A bar with its `words`, which are escaped already; a track only where there is a total."""
    made = f'<div class="bar {one.tone}"><div class="words"><b>{escape(one.label)}</b>: {words}</div>\n'
    if one.total > 0:
        made += _track(one, words)
    if one.series is not None:
        made += _curve(one.series)
    return made + "</div>\n"


def _track(one: Bar, words: str) -> str:
    now = min(1.0, sum(part.value for part in one.parts) / one.total)
    # a title says what a piece of the bar stands for, to those who point at it
    parts = "".join(
        f'<i class="{part.kind}" style="width:{_percent(part.value / one.total)}" title="{escape(part.label)}"></i>'
        for part in one.parts
        if part.value > 0
    )
    peak = f'<i class="peak" style="left:{_percent(one.peak / one.total)}" title="peak"></i>' if one.peak is not None else ""
    mark = f'<i class="mark" style="left:{_percent(one.mark / one.total)}" title="guard"></i>' if one.mark is not None else ""
    return (
        f'<div class="track" role="progressbar" aria-label="{escape(one.label)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{now * 100:.0f}" aria-valuetext="{words}">{parts}{peak}{mark}</div>'
    )


def _curve(series: Series) -> str:
    last = len(series.points) - 1
    points = " ".join(f"{x * 100 / last:.1f},{_height(y)}" for x, y in enumerate(series.points))
    line = "" if series.line is None else f'<line x1="0" x2="100" y1="{_height(series.line)}" y2="{_height(series.line)}"/>'
    marks = "".join(f'<i class="at {escape(kind)}" style="left:{at}%"></i>' for at, kind in series.marks)
    drawing = f'<svg viewBox="0 0 100 {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{line}<polyline points="{points}"/></svg>'
    label = escape(series.label)
    return f'<div class="curve" role="img" aria-label="{label}" title="{label}">{drawing}{marks}</div>'


def _height(percent: int) -> str:
    return f"{HEIGHT - 1 - (HEIGHT - 2) * percent / 100:.1f}"


def _percent(fraction: float) -> str:
    return f"{100 * min(1.0, max(0.0, fraction)):.1f}%"
