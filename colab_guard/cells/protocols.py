"""What the rooms above bring to a resumable cell: policies for loops, and loops that live inside libraries."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Protocol

from colab_guard.snapshots.units import UnitRecord


class Decision(enum.Enum):
    """What happens after an error in a loop's body."""

    RAISE = "raise"
    NEXT_ITEM = "next item"
    ROLL_BACK = "roll back"


class LoopPolicy(Protocol):
    """Decides for one loop of the cell or of a function; made by a `PolicyFactory` when the loop is entered."""

    def begin(self, units: Sequence[UnitRecord]) -> None:
        """Before the first item, on a resume too: `units` are the committed ones of this store, oldest first."""

    def bypassed(self) -> None:
        """The loop stands inside several others: it is not governed, and nothing else is asked of the policy."""

    def item_started(self, item: object) -> None:
        """`item` was fetched, and its iteration begins (or goes on, after a resume)."""

    def item_follows(self, unread: frozenset[str]) -> None:
        """Another item was fetched after one that has ended, here or before a resume, and its iteration begins next.

        `unread`: names of the notebook that each iteration binds anew, and that nothing in the cell reads before that.
        """

    def item_ended(self, item: object) -> UnitRecord | None:
        """The iteration is over, without an error or after NEXT_ITEM; what it gives goes into the unit-end commit."""

    def on_error(self, item: object, error: Exception) -> Decision:
        """The body raised `error`. After NEXT_ITEM, `item_ended` follows."""


PolicyFactory = Callable[[object], "LoopPolicy | None"]
"""Gives the policy for an iterable (`Sweep` → its own), or None when it is not the factory's business."""


class LoopNeeds(Protocol):
    """What a library loop may ask of the running cell."""

    def poll(self, loop: LibraryLoop, capture: Callable[[], object], where: str = "") -> None:
        """A safe point inside the library's loop, called `where` by people ("step 400"): training state is whole now.

        When a snapshot is due, `capture()` is called; it gives the loop's own state as an object that `state` can
        capture (model, optimizer and whatever else the cell's names do not reach; references, not copies).
        May raise KeyboardInterrupt when the user asked to stop.
        """

    def resuming(self, loop: LibraryLoop) -> object | None:
        """What `capture` gave, once, if the call now running is the one that is being resumed; else None."""

    def resumed(self, loop: LibraryLoop) -> None:
        """The loop stands where it was: random state is set, as the last act before training goes on."""


class WayBack(Protocol):
    """Is told when a resume begins to find its way back, and when the position is reached."""

    def begin(self) -> None: ...

    def end(self) -> None: ...


class Recovery(Protocol):
    """Says which errors are undone by going back to the newest snapshot: those of full memory."""

    def goes_back(self, error: Exception, snapshot: str | None, readable: Callable[[], bool]) -> bool:
        """Whether the cell goes back to `snapshot` (its id, None where there is none) after `error`.

        `readable` says whether a snapshot can be read; it reads one whole.
        """

    def let_go(self, error: BaseException) -> None:
        """Drop what the frames hold through which `error` has come."""

    def clear(self) -> None:
        """Free what nothing needs, before the snapshot is read."""

    def gone_back(self, where: str) -> None:
        """The cell is about to go on at `where`."""


class LibraryLoop(Protocol):
    """A training loop inside a library, with a safe point of its own (transformers' `Trainer` first)."""

    name: str
    module: str
    """What it hooks into; where that is imported while the cell runs, it is installed then."""
    call_names: frozenset[str]
    owner: str
    """The dotted name of the class whose methods `call_names` are."""

    def why_not(self, thing: object) -> str:
        """Why `thing` (a live instance of that class) cannot be resumed inside; "" where it can. Changes nothing."""

    def available(self) -> bool:
        """Whether the library is imported already; reads `sys.modules` only."""

    def install(self, needs: LoopNeeds) -> Callable[[], None]:
        """Hook into the library for the time of one guarded cell; give the undo."""
