"""How a frame finds its way back: `_cg_r` in resume versions.

`R` is true while the frame looks for its point; its code then asks `at`, `br`, `ctx`, `loop` and `call` where to go.
`call` makes the next frame inwards again, by its own resume version; the innermost ends the search: names are set once
more (a re-entered `with ... as f` may have bound one anew) and random state comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any

from colab_guard import state
from colab_guard.cells.delegates import Again
from colab_guard.cells.frames import FrameEntry
from colab_guard.cells.loops import Loop, ReEnter
from colab_guard.cells.managers import MadeAnew, ReEntered, is_notebooks, serves_once, stands_for_anew
from colab_guard.cells.rewrite import RESUMER
from colab_guard.cells.wrappers import through
from colab_guard.errors import CannotResume

if TYPE_CHECKING:
    from colab_guard.cells.points import FrameInfo
    from colab_guard.cells.runtime import Runtime


class Resumer:
    """Leads one frame to `entries[0]`; `entries[1:]` are the frames further in."""

    __slots__ = ("R", "_entries", "_info", "_on_path", "_runtime", "shared", "values")

    TICKS = object()

    def __init__(self, runtime: Runtime, entries: Sequence[FrameEntry], info: FrameInfo, *, started: bool = True) -> None:
        self.R = started
        self.values = entries[0].locals if entries else {}
        self._runtime = runtime
        self._entries = entries
        self._info = info
        self._on_path = entries[0].on_path if entries else frozenset()
        self.shared = _contents(entries[0].cells) if entries else {}

    def fill(self, entries: Sequence[FrameEntry], *, started: bool) -> None:
        """A generator's entry, and those further in, known only when everything is restored."""
        self.R, self._entries, self.values, self._on_path = started, entries, entries[0].locals, entries[0].on_path
        self.shared = _contents(entries[0].cells)

    @property
    def lost(self) -> bool:
        """Whether the way could not be found: what runs now only unwinds."""
        return self._runtime.lost

    def at(self, *points: int) -> bool:
        return not self._on_path.isdisjoint(points)

    def on(self, point: int) -> bool:
        return self.R and point in self._on_path

    def br(self, point: int) -> bool:
        return self._entries[0].arm(point) == "body"

    def arm(self, point: int) -> str | None:
        """The arm of the `match` that was taken."""
        return self._entries[0].arm(point)

    def arrived(self) -> None:
        """The position is reached: the code runs on from here."""
        self.R = False
        self._runtime.arrived()

    # loops

    def loop(self, point: int, iterable: Any) -> Loop:
        __tracebackhide__ = True
        if not self.R:
            return self._runtime.start(self._info, point, None if iterable is self.TICKS else iterable, iterable is self.TICKS)
        entry = self._entries[0]
        if entry.point == point:
            how: ReEnter = "fetching" if entry.fetching else "before"
            return self._runtime.again(self._info, point, entry.loops[point], how, self)
        inside = entry.arm(point) == "body"
        return self._runtime.again(self._info, point, entry.loops[point], "inside" if inside else "orelse", self)

    # context managers

    def names_again(self) -> None:
        """The cell's names, of which a `with ... as` that was entered again has bound some."""
        self._runtime.names_again()

    def shared_again(self, names: Sequence[str]) -> None:
        """A function's variables that others share, likewise."""
        for name in names:
            if name in self.shared:
                self._entries[0].cells[name].cell_contents = self.shared[name]

    def ctx(self, point: int, item: int) -> bool:
        """Whether there is a restored context manager to go on with."""
        kept = self._kept(point, item)
        return self.on(point) and kept is not None and not stands_for_anew(kept)

    def manager(self, point: int, item: int) -> Any:
        """What `with` is to enter: the restored state of the notebook's own stands; a library's may be the process's too."""
        manager = self._kept(point, item)
        if state.stands_entered(manager):
            state.in_force_again(manager)
            return ReEntered(manager)
        return ReEntered(manager) if is_notebooks(manager) else manager

    def anew(self, point: int, item: int, manager: Any) -> Any:
        """What `with` is to enter where the user's expression has just given `manager`."""
        kept: Any = self._kept(point, item) if self.on(point) else None
        return MadeAnew(manager, kept, self._runtime.say) if stands_for_anew(kept) and serves_once(manager) else manager

    def _kept(self, point: int, item: int) -> Any:
        kept = self._entries[0].contexts.get(point, [])
        return kept[item] if item < len(kept) else None

    # calls

    def into(self, point: int) -> bool:
        return self.R and point == self._entries[0].point and len(self._entries) > 1

    def call(self, point: int) -> Any:
        """Make again the frame that the call at `point` had made, and let it go on."""
        __tracebackhide__ = True
        self.R = False
        entry = self._entries[1]

        def go_on(*unused: Any, **named: Any) -> Any:
            __tracebackhide__ = True
            return self._runtime.enter(self._entries[1:])

        value = through(entry.around, go_on)
        return entry.made[0] if entry.made else value

    def library(self, point: int, function: Callable[..., Any]) -> Any:
        """Enter a library loop again; its arguments are part of the state that the loop itself kept."""
        __tracebackhide__ = True
        self.R = False
        self._runtime.names_again()
        result = function()
        self._runtime.library_was_entered(self._info, point)
        return result

    # generators

    def yielded(self, point: int) -> bool:
        """Whether the generator had come to this `yield` already: it waits there again, and gives nothing."""
        if not (self.R and self._entries[0].point == point):
            return False
        self.R = False
        return True

    def delegate(self) -> Any:
        """What `yield from` goes on with; one that was running goes on by itself."""
        below = self._entries[0].delegate
        runs = len(self._entries) > 1
        return below if runs or self._runtime.is_pending(below) else Again(below)


def _contents(cells: dict[str, CellType]) -> dict[str, Any]:
    """What the cells hold that are not empty."""
    found = {}
    for name, cell in cells.items():
        with suppress(ValueError):
            found[name] = cell.cell_contents
    return found


def made_again(code: Any, namespace: dict[str, Any], cells: dict[str, Any], resumer: Resumer) -> Any:
    """Call the resume version `code` with its shared variables."""
    __tracebackhide__ = True
    held = {**cells, RESUMER: CellType(resumer)}
    missing = [name for name in code.co_freevars if name not in held]
    if missing:
        raise CannotResume(f"the variables {', '.join(missing)} of {code.co_name}() are not in the snapshot")
    function = FunctionType(code, namespace, code.co_name, None, tuple(held[name] for name in code.co_freevars))
    return function(*[None] * code.co_argcount)
