"""`%%checkpointed --explain NAME`: what would happen, where safe points are, what a snapshot would hold, what it could not.

Runs nothing of the cell and writes nothing: the cell is compiled, names are looked up, the store is read. The state of
the cell's names as they are now is pickled once in memory, to learn what could not be kept; memory is not copied for it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colab_guard import cells, hosts, state, store
from colab_guard.errors import GuardError, NeedsDecision, StoreDamaged
from colab_guard.session import changes, differences, inputs, places
from colab_guard.session.options import CheckpointOptions
from colab_guard.snapshots import Position

if TYPE_CHECKING:
    from colab_guard.session import Session

WIDTH = 100
LABEL = 10
MOST_LINES = 25
MOST_LOOPS = 6
MOST_CALLS = 4
MOST_NAMES = 6
MOST_LOST = 4
TOO_MANY = 150_000
"""Objects above which the names are not pickled on trial: it would take seconds."""
MIRROR_LOOK_S = 10.0
Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Cell:
    """All that the rows are told from."""

    session: Session
    name: str
    source: str
    options: CheckpointOptions
    cell: cells.CompiledCell
    found: cells.Survey
    inputs: Mapping[str, inputs.Input]


def explain(session: Session, name: str, source: str, options: CheckpointOptions) -> str:
    """The table as text, at most 100 columns wide and about 25 lines long, the essential first."""
    shell, loops = session.shell, session.library_loops()
    cell = cells.compile_cell(shell, source, {word for loop in loops for word in loop.call_names})
    here = inputs.look(changes.transformed(shell, source), shell.user_ns, shell.user_ns.get("In", [])[:-1])
    it = _Cell(session, name, source, options, cell, cells.survey(cell, shell.user_ns, loops), here)
    rows = [*_now(it), *_unit(it), *_calls(it), *_loops(it), *_functions(it), *_snapshot(it), *_inputs(it)]
    head = f"{name}: explained; nothing was run, and nothing was written"
    return "\n".join([head, *_drawn(rows)])


def before_first_run(cell: cells.CompiledCell, session: Session) -> tuple[str, ...]:
    """What matters and is known before a cell's first run, in lines; nothing in the good case."""
    return places.before_work(cells.survey(cell, session.shell.user_ns, session.library_loops()))


# what would happen now


def _now(it: _Cell) -> Iterator[Row]:
    folder = hosts.home() / it.name
    start = "runs from its start"
    if not (folder / "FORMAT").is_file():
        yield "now", f"{start}: nothing is saved as {it.name!r} on this machine{_mirror(it)}"
        return
    try:
        view = store.Store.view(folder)
        records = view.commits()
    except (GuardError, OSError) as error:
        yield "now", f"cannot run: {error}"
        return
    owner = view.leases[-1].notebook if view.leases else ""
    mine = hosts.kernel_notebook(it.session.shell)
    if owner and mine and owner != mine and not it.options.take_over:
        yield "now", f"refused: {it.name!r} belongs to the notebook {owner}; use another NAME, or --take-over"
    elif not records:
        yield "now", f"{start}: no commit is saved yet{_mirror(it)}"
    elif it.options.fresh:
        yield "now", f"{start}: --fresh forgets {_count(len(records), 'commit')}, the newest at {_where(records[0])}"
    else:
        yield from _from_commits(it, view, records)


def _mirror(it: _Cell) -> str:
    where = it.options.to
    if where is None:
        return ""
    if where == "drive" or "://" in where:
        return f"; what {where} holds is looked at when the cell runs"
    try:
        folder = Path(where).expanduser().absolute() / "colab_guard" / it.name
        count = it.session.workers.call("mirror: look", lambda: _commits_in(folder), MIRROR_LOOK_S)
    except (GuardError, OSError, RuntimeError) as error:  # RuntimeError: there is no user of that name
        return f"; the mirror at {where} cannot be read: {error}"
    return f"; the mirror {folder} holds {_count(count, 'commit')}" + (", from which it would go on" if count else "")


def _commits_in(folder: Path) -> int:
    return len(store.Store.view(folder).commits()) if (folder / "FORMAT").is_file() else 0


def _from_commits(it: _Cell, view: store.StoreView, records: list[store.CommitRecord]) -> Iterator[Row]:
    loaded = next(filter(None, (_parts(view, record) for record in records)), None)
    if loaded is None:
        yield "now", f"runs from its start: none of the {_count(len(records), 'commit')} can be read"
        return
    saved = f"{_count(len(records), 'commit')} saved, the newest at {_where(loaded.record)}"
    left = it.session.left.get(it.name, {})
    try:
        differs = differences.look(it.session.shell, it.name, it.cell, view, loaded, it.inputs, left, it.options)
    except NeedsDecision as asked:
        yield "now", f"asks first ({saved}): {asked}"
        return
    except GuardError as error:
        yield "now", f"cannot go on ({saved}): {error}"
        return
    position = Position.from_json(differs.loaded.record.position)
    if differs.loaded.record.kind == "cell":
        yield "now", f"gives its results at once: it had ended ({_count(len(records), 'commit')} saved)"
    else:
        inside = f"inside {_count(position.depth, 'loop or function', 'loops and functions')}" if position.depth else "between statements"
        yield "now", f"goes on at {position.text}, {inside} ({saved})"
    if differs.committed_used:
        yield "", f"with the saved value, not this kernel's: {'; '.join(differs.committed_used)}"
    reasons = [*differs.inexact_before, *differs.inexact_now]
    if reasons:
        yield "", f"not bit-exact: {'; '.join(reasons)}"


def _parts(view: store.StoreView, record: store.CommitRecord) -> store.Loaded | None:
    """A commit without its memory; None where it cannot be read."""
    try:
        return store.Loaded(record, view.parts(record), {})
    except StoreDamaged:
        return None


def _where(record: store.CommitRecord) -> str:
    return "the cell's end" if record.kind == "cell" else str(record.position.get("text", "?"))


# where safe points are


def _unit(it: _Cell) -> Iterator[Row]:
    unit = it.found.unit
    if unit is not None:
        yield "unit", f"one iteration of `{unit.text}` (line {unit.line})"
    elif it.found.inside:
        yield "unit", "the whole cell; safe points are inside its statements"
    elif it.found.statements > 1:
        yield "unit", "the whole cell: safe points only between its statements, none inside one; after a loss it restarts from its start"
    else:
        yield "unit", "the whole cell: no safe point inside; after a loss it restarts from its start"


def _loops(it: _Cell) -> Iterator[Row]:
    loops = it.found.loops
    shown = sorted(sorted(loops, key=lambda loop: not loop.why)[:MOST_LOOPS], key=loops.index)
    for number, loop in enumerate(shown):
        yield "" if number else "loops", f"{places.loop_place(loop)}: {places.loop_words(loop, it.found)}"
    if len(loops) > len(shown):
        yield "", f"and {len(loops) - len(shown)} more loops, with safe points"


def _calls(it: _Cell) -> Iterator[Row]:
    # the same words for one library in several lines say nothing more
    lines = [places.call_words(call, it.found) for call in sorted(it.found.calls, key=lambda call: (call.maybe, not call.heavy))]
    for number, line in enumerate(lines[:MOST_CALLS]):
        yield "" if number else "libraries", line
    if len(lines) > MOST_CALLS:
        yield "", f"and {len(lines) - MOST_CALLS} more calls like these"


def _functions(it: _Cell) -> Iterator[Row]:
    if it.found.entered:
        yield "functions", f"entered again on a resume: {_few(it.found.entered)}"


# what a snapshot would hold


def _snapshot(it: _Cell) -> Iterator[Row]:
    shell = it.session.shell
    scope = cells.Scope(shell.user_ns, it.cell.original, keep=it.options.keep, skip=it.options.skip)
    present = {name: shell.user_ns[name] for name in sorted(scope.tracked) if name in shell.user_ns}
    values = {name: value for name, value in present.items() if not isinstance(value, cells.DEFINITIONS)}
    later = sorted(scope.tracked & cells.names_bound(it.cell.program.tree.body) - present.keys())
    sizes = state.sizes(values, shell.user_ns)
    largest = sorted(sizes, key=lambda name: -sizes[name].nbytes)[:MOST_NAMES]
    words = [f"{name} {'' if sizes[name].whole else 'at least '}{_bytes(sizes[name].nbytes)}" for name in largest]
    rest = len(values) - len(largest)
    words += [f"{rest} more {_bytes(sum(sizes[name].nbytes for name in sizes if name not in largest))}"] if rest > 0 else []
    told = f"{_count(len(values), 'name')} of before"
    lost: list[Row] = []
    if sum(size.objects for size in sizes.values()) > TOO_MANY or not all(size.whole for size in sizes.values()):
        words.append("too many objects to try here what cannot be kept: the first snapshot tells")
    else:
        tried = cells.try_capture(it.cell, scope, values)
        told += f", {_bytes(tried.memory + tried.graph)} in all" if tried.graph else ""
        lost = list(_lost(it, scope, tried))
    yield "snapshot", f"{told}{': ' if words else ''}{', '.join(words)}"
    if later:
        yield "", f"and what the cell makes: {_few(later)}; random state of Python, numpy and torch"
    if it.options.skip:
        yield "", f"left out by --skip: {', '.join(it.options.skip)}"
    yield from ((label if not number else "", line) for number, (label, line) in enumerate(lost))


def _lost(it: _Cell, scope: cells.Scope, tried: state.Trial) -> Iterator[Row]:
    """What cannot be kept, by its path, and what that means."""
    if tried.failed:
        yield "not kept", f"{tried.failed}: no snapshot can be taken while that is so"
    live = scope.needed_inside(it.cell.info)
    for lost in tried.lost[:MOST_LOST]:
        name = lost.path.partition(".")[0].partition("[")[0]
        means = "no snapshot while it is there: code to come reads it" if name in live else "left out; nothing to come reads it"
        yield "not kept", f"{lost.path} ({lost.type_name.rpartition('.')[2]}): {lost.reason}; {means}"
    if len(tried.lost) > MOST_LOST:
        yield "", f"and {len(tried.lost) - MOST_LOST} more"


def _inputs(it: _Cell) -> Iterator[Row]:
    shell = it.session.shell
    told = [
        f"{name} = {one.print.words}" if one.print.kind == "typed" else name
        for name, one in sorted(it.inputs.items(), key=lambda pair: (pair[1].print.kind != "typed", pair[0]))
        if one.print.kind == "code" or not isinstance(shell.user_ns.get(name), cells.DEFINITIONS)
    ]
    if not told:
        return
    yield "inputs", f"{len(told)}, compared when it goes on: {_few(told)}"
    blind = [f"{name} ({one.print.why})" for name, one in sorted(it.inputs.items()) if one.print.hash is None]
    if blind:
        yield "", f"cannot be compared, the saved value is used: {_few(blind)}"
    sampled = [name for name, one in sorted(it.inputs.items()) if one.print.sampled]
    if sampled:
        yield "", f"too large to be compared whole, samples are: {_few(sampled)}"


# drawing


def _drawn(rows: list[Row]) -> Iterator[str]:
    lines: list[str] = []
    for label, text in rows:
        first = f"  {label:<{LABEL}}"
        lines += textwrap.wrap(" ".join(text.split()), WIDTH, initial_indent=first, subsequent_indent=" " * len(first))
    yield from lines[: MOST_LINES - 1]
    if len(lines) > MOST_LINES - 1:
        yield f"  … {len(lines) - MOST_LINES + 1} lines more"


def _count(count: int, what: str, several: str = "") -> str:
    return f"{count} {what}" if count == 1 else f"{count} {several or what + 's'}"


def _few(words: list[str]) -> str:
    more = f" and {len(words) - MOST_NAMES} more" if len(words) > MOST_NAMES else ""
    return ", ".join(words[:MOST_NAMES]) + more


def _bytes(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
