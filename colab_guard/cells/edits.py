"""What differs between the cell that was committed and the cell that is run now.

Comments, blank lines, the style of quotes and the docstrings of functions and classes say nothing. A `range` of constants
over which a `for` goes may have grown at its end: the loop that is under way then goes further. A sweep's grid of
constants may be any other. Everything else is another cell, and is told line by line.
"""

from __future__ import annotations

import ast
import copy
import difflib
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from colab_guard import state
from colab_guard.cells.grids import GridChange, grids, parameters, put_parameters
from colab_guard.cells.iterators import BarIterator
from colab_guard.cells.syntax import SCOPES

LINES_TOLD = 3
LINE_CLIP = 80
PLACEHOLDER = "_cg_some_range"


@dataclass(frozen=True, slots=True)
class RangeChange:
    """A range of constants over which a `for` goes, with the line of the `for` in either source.

    `alone` says that the `for` runs once: it stands in no other loop and in no function.
    """

    line: int
    committed_line: int
    old: range
    new: range
    alone: bool

    @property
    def grown(self) -> bool:
        """Whether all that was given comes again, in its place, and more follows."""
        return (self.old.start, self.old.step) == (self.new.start, self.new.step) and len(self.new) > len(self.old)

    def __str__(self) -> str:
        return f"line {self.line}: {_said(self.old)} became {_said(self.new)}"


@dataclass(frozen=True, slots=True)
class Edit:
    """`same`: nothing that counts. Else `ranges` and `grids` alone changed, or `lines` tell what else did."""

    ranges: tuple[RangeChange, ...] = ()
    lines: tuple[str, ...] = ()
    grids: tuple[GridChange, ...] = ()

    @property
    def same(self) -> bool:
        return not self.ranges and not self.lines and not self.grids

    @property
    def only_grown(self) -> bool:
        """Whether ranges have grown or sweeps have other grids, and nothing else changed."""
        return bool(self.ranges or self.grids) and not self.lines and all(change.grown for change in self.ranges)

    @property
    def told(self) -> str:
        """What changed, in one line."""
        every = [*self.lines, *map(str, self.ranges), *map(str, self.grids)]
        words = every[:LINES_TOLD]
        more = len(every) - len(words)
        return "; ".join(words) + (f"; and {more} more" if more > 0 else "")


def compare(committed: str, now: str) -> Edit:
    """Compare two sources (transformed by the shell already, an empty line for the magic's own first)."""
    before, after = ast.parse(committed), ast.parse(now)
    if state.canonical(before) == state.canonical(after):
        return Edit()
    old_ranges, new_ranges = list(_ranges(before)), list(_ranges(after))
    old_grids, new_grids = list(grids(before)), list(grids(after))
    if len(old_ranges) == len(new_ranges) and _without_constants(before) == _without_constants(after):
        inner = _fors_that_run_often(after)
        return Edit(
            tuple(
                RangeChange(new_for.lineno, old_for.lineno, old, new, new_for not in inner)
                for (old_for, _, old), (new_for, _, new) in zip(old_ranges, new_ranges, strict=True)
                if old != new
            ),
            grids=tuple(
                GridChange(new.lineno, name, ast.unparse(new))
                for (_, old), (name, new) in zip(old_grids, new_grids, strict=True)
                if ast.dump(parameters(old)) != ast.dump(parameters(new))
            ),
        )
    return Edit((), tuple(_lines(committed, now)) or ("a text of several lines changed",))


def extend_range(iterator: Any, old: range, new: range) -> Any:
    """An iterator over `new` that stands where `iterator`, over `old`, stands."""
    return iter(new[len(old) - operator.length_hint(iterator) :])


def extend(iterator: Any, change: RangeChange) -> Any:
    """The iterator of a loop with its range grown: the range itself, or one under `enumerate` or a progress bar.

    None where the range is in something that cannot be taken apart.
    """
    if type(iterator) in (type(iter(range(1))), type(iter(range(2**70)))):
        return extend_range(iterator, change.old, change.new)
    if type(iterator) is enumerate:
        reduced: Any = iterator.__reduce__()
        below, count = reduced[1]
        longer = extend(below, change)
        return None if longer is None else enumerate(longer, count)
    if isinstance(iterator, BarIterator):
        return iterator if iterator.grow(lambda below: extend(below, change), change.new) else None
    return None


def _ranges(tree: ast.AST) -> Iterator[tuple[ast.For, ast.Call, range]]:
    """Ranges of constants in what the `for`s of `tree` go over, in the order of the source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For):
            for call in ast.walk(node.iter):
                found = _range(call)
                if found is not None and isinstance(call, ast.Call):
                    yield node, call, found


def _range(node: ast.AST) -> range | None:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("range", "trange")):
        return None
    if not node.args or len(node.args) > 3 or (node.keywords and node.func.id == "range"):
        return None
    try:
        numbers = [ast.literal_eval(argument) for argument in node.args]
    except ValueError:
        return None
    if not all(type(number) is int for number in numbers) or numbers[2:] == [0]:
        return None
    return range(*numbers)


def _fors_that_run_often(tree: ast.AST) -> set[ast.AST]:
    around = [node for node in ast.walk(tree) if isinstance(node, (ast.For, ast.AsyncFor, ast.While, *SCOPES))]
    return {inner for node in around for inner in ast.walk(node) if inner is not node}


def _without_constants(tree: ast.Module) -> str:
    blank = copy.deepcopy(tree)
    made = list(grids(blank))
    for _, call, _ in list(_ranges(blank)):
        call.args = [ast.Name(PLACEHOLDER, ast.Load())]
    for _, call in made:
        put_parameters(call, ast.Name(PLACEHOLDER, ast.Load()))
    return state.canonical(blank)


def _lines(committed: str, now: str) -> Iterator[str]:
    """Changed lines of code, as people would tell them."""
    old, new = (list(_code_lines(source)) for source in (committed, now))
    matcher = difflib.SequenceMatcher(None, [text for _, text in old], [text for _, text in new], autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            continue
        gone, come = old[i:j], new[k:m]
        for (_, before), (number, after) in zip(gone, come, strict=False):
            moved = before.strip() == after.strip()
            yield f"line {number}: `{_clip(before)}` " + ("was indented anew" if moved else f"became `{_clip(after)}`")
        for number, before in gone[len(come) :]:
            yield f"line {number} is gone: `{_clip(before)}`"
        for number, after in come[len(gone) :]:
            yield f"line {number} is new: `{_clip(after)}`"


def _code_lines(source: str) -> Iterator[tuple[int, str]]:
    """Lines that code stands on, with their numbers; comments at their ends fall away where the line parses alone."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.stmt, ast.expr))]
    counted = {node.lineno for node in nodes} | {node.end_lineno for node in nodes}
    for number, line in enumerate(source.splitlines(), 1):
        if number in counted and line.strip():
            yield number, _bare(line)


def _bare(line: str) -> str:
    """A line of code without its comment and in one style, where it can be read alone."""
    indent = line[: len(line) - len(line.lstrip())]
    for tail in ("", " pass"):
        try:
            text = ast.unparse(ast.parse(line.strip() + tail))
        except SyntaxError:
            continue
        return indent + text.removesuffix("\n    pass")
    return line.rstrip()


def _clip(text: str) -> str:
    text = text.strip()
    return text if len(text) <= LINE_CLIP else f"{text[: LINE_CLIP - 1]}…"


def _said(numbers: range) -> str:
    return repr(numbers).replace("range(0, ", "range(")
