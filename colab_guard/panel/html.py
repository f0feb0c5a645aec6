"""The panel as self-contained HTML: for saved notebooks, GitHub, nbconvert, and pages without widgets.

Everything that comes from outside is escaped. With all tags and styles stripped (as GitHub does) the words still read in order: every
cell ends with a separator or a line, and bars and curves only decorate.
"""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files

from colab_guard.panel.renderer import plain
from colab_guard.panel.view import Bar, Row, Sentence, View


@cache
def style() -> str:
    """The style that the widget has too; its source is in js/src."""
    return (files("colab_guard") / "static" / "panel.css").read_text(encoding="utf-8").strip()


class HtmlRenderer:
    """One `<div>` with its style, no script."""

    def render(self, view: View, *, static: bool = False) -> str:
        def said(sentence: Sentence) -> str:
            return escape(plain(sentence, view.now, static=static))

        parts = [
            _head(view, said(view.elapsed)),
            _line("reason bad", escape(view.reason)),
            _line(f"safety {view.safety_tone}", f"<b>Safety</b>: {said(view.safety)}"),
            _line("risk", said(view.risk)),
            '<div class="bars">' + "".join(_bar(bar, said(bar.words)) for bar in view.bars) + "</div>",
            _table(view.rows, view.more),
            _list(
                "facts",
                [f'<dt>{escape(f.label)}: </dt><dd class="{f.tone}">{said(f.words)}</dd>' for f in view.facts],
                "dl",
            ),
            _list(
                "events",
                [f'<li class="{h.tone}"><time>{escape(h.time)}</time> {escape(h.text)}</li>' for h in view.events],
                "ul",
            ),
            _list("commands", [f"<dt>{escape(w)}: </dt><dd><code>{escape(c)}</code></dd>" for w, c in view.commands], "dl"),
        ]
        body = "\n".join(part for part in parts if part)
        label = escape(f"colab_guard: {view.title}")
        return f'<div class="colab-guard" role="region" aria-label="{label}"><style>{style()}</style>\n{body}\n</div>'


def _head(view: View, elapsed: str) -> str:
    return (
        f'<div class="head"><span class="phase {view.tone}"><span aria-hidden="true">{view.sign}</span> {escape(view.phase)}</span> '
        f'<strong>{escape(view.title)}</strong> <span class="quiet">{elapsed}</span> '
        f'<span class="quiet asof">as of {escape(view.as_of)}</span></div>'
    )


def _line(kind: str, words: str) -> str:
    return f'<div class="{kind}">{words}</div>' if words else ""


def _bar(bar: Bar, words: str) -> str:
    head = f'<div class="bar {bar.tone}"><div class="words"><b>{escape(bar.label)}</b>: {words}</div>\n'
    if bar.total > 0:
        now = min(1.0, (bar.value + bar.bad) / bar.total)
        mark = f'<i class="mark" style="left:{_percent(bar.mark / bar.total)}"></i>' if bar.mark is not None else ""
        bad = f'<i class="bad" style="width:{_percent(bar.bad / bar.total)}"></i>' if bar.bad else ""
        head += (
            f'<div class="track" role="progressbar" aria-label="{escape(bar.label)}" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{now * 100:.0f}" aria-valuetext="{words}">'
            f'<i class="fill" style="width:{_percent(bar.value / bar.total)}"></i>{bad}{mark}</div>'
        )
    if len(bar.series) > 1:
        head += _curve(bar)
    return head + "</div>\n"


def _curve(bar: Bar) -> str:
    last = len(bar.series) - 1
    points = " ".join(f"{x * 100 / last:.1f},{21 - 20 * min(1.0, max(0.0, y)):.1f}" for x, y in enumerate(bar.series))
    return (
        f'<svg class="curve" viewBox="0 0 100 22" preserveAspectRatio="none" role="img" aria-label="{escape(bar.series_label)}">'
        f'<polyline points="{points}"/></svg>'
    )


def _table(rows: tuple[Row, ...], more: str) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{name} </th>' for name in ("status", "run", "parameters", "result", "steps", "time"))
    body = "\n".join(_row(row) for row in rows)
    rest = f'\n<tr><td colspan="6" class="quiet">… {escape(more)}</td></tr>' if more else ""
    return f'<div class="runs"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}{rest}\n</tbody></table></div>'


def _row(row: Row) -> str:
    # a space after each cell keeps the words apart where tags are stripped
    cells = [
        f'<td class="status"><span aria-hidden="true">{row.sign}</span> {escape(row.status)} </td>',
        f'<th scope="row">{escape(row.label)} </th>',
        f"<td>{escape(row.params)} </td>",
        f'<td class="result">{escape(row.reason or row.metric)} </td>',
        f'<td class="n">{escape(row.steps)} </td>',
        f'<td class="n">{escape(row.time)} </td>',
    ]
    return f'<tr class="{escape(row.status.split()[0])}">{"".join(cells)}</tr>'


def _list(kind: str, items: list[str], tag: str) -> str:
    if not items:
        return ""
    joined = "\n".join(items)
    return f'<{tag} class="{kind}">\n{joined}\n</{tag}>'


def _percent(fraction: float) -> str:
    return f"{100 * min(1.0, max(0.0, fraction)):.1f}%"
