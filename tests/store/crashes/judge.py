"""Opens a store as it was found after a power loss: what had been reported saved must be there, whole."""

from __future__ import annotations

import shutil
from pathlib import Path

from colab_guard.errors import ForeignStore, GuardError
from colab_guard.store import Loaded, Store, StoreView
from tests.store.crashes.record import Mark, Operation
from tests.store.crashes.scenarios import CLEARED, CLEARING, FIXED, ME, SAVED, Recording, draft, moving, saved_file
from tests.store.crashes.states import Image


def wrong(recording: Recording, image: Image, root: Path, *, write: bool = False) -> str:
    """What is lost or broken in the store of `image`, which is put at `root` and removed again; "" for nothing.

    With `write` it is opened for writing as well, and committed to.
    """
    image.put(root)
    try:
        return _judged(recording.operations[: image.after], recording.units, root / "store", write)
    except GuardError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(root)


def _judged(before: list[Operation], units: frozenset[int], path: Path, write: bool) -> str:
    marks = [operation for operation in before if isinstance(operation, Mark)]
    saved, least = _expected(marks)
    try:
        view = Store.view(path)
    except ForeignStore:
        if saved:
            raise
        view = None
    if view is not None:
        said = _newest(view, saved, least) or _units(view, {n for n in units if least <= n <= saved})
        if said:
            return said
    return _written(path, saved) if write else ""


def _expected(marks: list[Mark]) -> tuple[int, int]:
    """The newest commit that was reported saved (0: none is sure to be there), and the oldest that may be there."""
    saved, least = 0, 0
    for mark in marks:
        if mark.what == SAVED:
            saved = mark.number
        elif mark.what == CLEARING:
            saved = 0  # it may be done, or not yet
        elif mark.what == CLEARED:
            least = mark.number + 1
    return saved, least


def _newest(view: StoreView, saved: int, least: int) -> str:
    loaded, passed = view.newest()
    told = "; ".join(f"{step.commit}: {step.reason}" for step in passed) or "nothing is said"
    if loaded is None:
        return f"commit {saved} was reported saved and there is none ({told})" if saved else ""
    number = int(loaded.parts["graph"])
    if number < saved:
        return f"commit {saved} was reported saved, and {number} is the newest ({told})"
    if number < least:
        return f"commit {number} came back after all was cleared"
    return _same(loaded, number)


def _same(loaded: Loaded, number: int) -> str:
    right = loaded.buffers == {"moving": bytearray(moving(number)), "fixed": bytearray(FIXED)}
    return "" if right else f"commit {number} holds other bytes than were written"


def _units(view: StoreView, wanted: set[int]) -> str:
    there = {int(record.position["text"]): record for record in view.units()}
    for number in sorted(wanted):
        if number not in there:
            return f"the unit's end {number} was reported saved and is gone"
        if view.read_unit_file(there[number], "adapter.bin") != saved_file(number):
            return f"what unit {number} saved is other bytes than were written"
    return ""


def _written(path: Path, saved: int) -> str:
    """The next kernel opens it and commits."""
    store = Store.open(path, ME, take_over=True)
    loaded, _ = store.newest()
    if saved and (loaded is None or int(loaded.parts["graph"]) < saved):
        return f"opened for writing, commit {saved} is gone"
    store.commit(draft(1000))
    store.close()
    again, passed = Store.view(path).newest()
    if again is None or again.parts["graph"] != b"1000":
        return f"what was committed after the loss is not the newest ({passed})"
    return ""
