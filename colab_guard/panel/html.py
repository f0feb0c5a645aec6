"""The panel as self-contained HTML: for saved notebooks, GitHub, nbconvert, and pages without widgets.

Everything that comes from outside is escaped. With all tags and styles stripped (as GitHub does) the words still read in order: every
cell ends with a separator or a line, and bars and curves only decorate (`drawn` has them).
"""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files

from colab_guard.panel.drawn import bar
from colab_guard.panel.renderer import plain
from colab_guard.panel.view import Row, Sentence, View

COLUMNS = ("status", "run", "parameters", "result", "steps", "time", "peak", "commit")


@cache
def style() -> str:
    """The style that the widget has too; its source is in js/src."""
    return (files("colab_guard") / "static" / "panel.css").read_text(encoding="utf-8").strip()


def styled_by() -> str:
    """The style as an element."""
    return f"<style>{style()}</style>"


class HtmlRenderer:
    """One `<div>`, no script; with its style unless the page has that already."""

    def render(self, view: View, *, static: bool = False, styled: bool = True) -> str:
        def said(sentence: Sentence) -> str:
            return escape(plain(sentence, view.now, static=static))

        parts = [
            _head(view, said(view.elapsed), said(view.eta)),
            _line("reason bad", escape(view.reason)),
            _line(f"safety {view.safety_tone}", f"<b>Safety</b>: {said(view.safety)}"),
            _line("risk", said(view.risk)),
            '<div class="bars">' + "".join(bar(one, said(one.words)) for one in view.bars) + "</div>",
            _runs(view, static=static),
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
        head = styled_by() if styled else ""
        return f'<div class="colab-guard" role="region" aria-label="{label}">{head}\n{body}\n</div>'


def _head(view: View, elapsed: str, eta: str) -> str:
    noted = ", ".join(words for words in (elapsed, escape(view.count), eta) if words)
    return (
        f'<div class="head"><span class="phase {view.tone}"><span aria-hidden="true">{view.sign}</span> {escape(view.phase)}</span> '
        f'<strong>{escape(view.title)}</strong> <span class="quiet">{noted}</span> '
        f'<span class="quiet asof">as of {escape(view.as_of)}</span></div>'
    )


def _line(kind: str, words: str) -> str:
    return f'<div class="{kind}">{words}</div>' if words else ""


def _runs(view: View, *, static: bool) -> str:
    """The rows in sight; below them, folded, all that have ended and are known (what is drawn anew each second has no folds)."""
    if not view.rows:
        return ""
    shown = {row.number for row in view.rows}
    folded = [row for row in view.ended if static and row.number not in shown]
    more = f"{view.more} (sweep.results has all)" if view.more else ""
    if not folded:
        return _table(view.rows, view.peak_of, more)
    all_here = view.more == f"{len(folded):,} more"
    words = view.more if all_here else f"{view.more}, the newest {len(folded)} of them here (sweep.results has all)"
    table = _table(tuple(folded), view.peak_of, "")
    return f"{_table(view.rows, view.peak_of, '')}\n<details><summary>{escape(words)}</summary>\n{table}\n</details>"


def _table(rows: tuple[Row, ...], peak_of: str, more: str) -> str:
    names = [f"{name} ({peak_of})" if name == "peak" and peak_of else name for name in COLUMNS]
    # where the page is narrow the heading is put away, and a screen reader still has to find it
    head = "".join(f'<th scope="col">{escape(name)} </th>' for name in names)
    body = "\n".join(_row(row) for row in rows)
    rest = f'\n<tr><td colspan="{len(COLUMNS)}" class="quiet">… {escape(more)}</td></tr>' if more else ""
    return (
        f'<div class="runs" role="group" aria-label="runs" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"\n<tbody>\n{body}{rest}\n</tbody></table></div>"
    )


def _row(row: Row) -> str:
    # a space after each cell keeps the words apart where tags are stripped
    did = f'<span class="did">{" → " if row.reason or row.metric else ""}{escape(row.did)}</span>' if row.did else ""
    cells = [
        f'<td class="status"><span aria-hidden="true">{row.sign}</span> {escape(row.status)} </td>',
        f'<th scope="row">{escape(row.label)} </th>',
        f"<td>{escape(row.params)} </td>",
        f'<td class="result">{escape(row.reason or row.metric)}{did} </td>',
        *(f'<td class="n">{escape(words)} </td>' for words in (row.steps, row.time, row.peak)),
        f'<td class="commit">{escape(row.commit)} </td>',
    ]
    return f'<tr class="{escape(row.status.split()[0])}">{"".join(cells)}</tr>'


def _list(kind: str, items: list[str], tag: str) -> str:
    if not items:
        return ""
    joined = "\n".join(items)
    return f'<{tag} class="{kind}">\n{joined}\n</{tag}>'
