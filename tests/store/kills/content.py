"""What a numbered commit holds: all of it follows from the number."""

from __future__ import annotations

import random
from pathlib import Path

from colab_guard.store import BufferDraft, CommitDraft, Identity, Loaded, StoreView

ME = Identity("sweep", "/nb/sweep.ipynb", "c0ffee")
FIXED = random.Random(0).randbytes(1_300_000)
"""The same in all commits: stored once, for as long as one needs it."""
UNIT_EVERY = 3
SIZES = (40, 20_000, 1_100_000, 2_500_000)


def ends_unit(number: int) -> bool:
    return number % UNIT_EVERY == 0


def moving(number: int) -> bytes:
    chosen = random.Random(number)
    return chosen.randbytes(chosen.choice(SIZES))


def saved_file(number: int) -> bytes:
    return random.Random(-number).randbytes(9_000)


def draft(number: int, scratch: Path) -> CommitDraft:
    """Commit `number`; the file that its unit saved, where it ends one, is first written to `scratch`."""
    unit, files = None, {}
    if ends_unit(number):
        unit, files = {"group": "sweep", "key": f"run {number}", "record": {"number": number}}, {"adapter.bin": scratch}
        scratch.write_bytes(saved_file(number))
    return CommitDraft(
        "step" if unit is None else "unit",
        {"text": str(number), "depth": 1},
        {"graph": str(number).encode()},
        [BufferDraft("moving", moving(number)), BufferDraft("fixed", FIXED)],
        unit=unit,
        unit_files=files,
    )


def wrong(loaded: Loaded) -> str:
    """What of a commit is other than was written; "" for nothing."""
    number = int(loaded.parts["graph"])
    right = loaded.buffers == {"moving": bytearray(moving(number)), "fixed": bytearray(FIXED)}
    return "" if right else f"commit {number} holds other bytes than were written"


def wrong_units(view: StoreView, wanted: set[int]) -> str:
    """Which of the unit ends `wanted` is gone, or holds another file than it saved; "" for none."""
    there = {int(record.position["text"]): record for record in view.units()}
    if missing := wanted - set(there):
        return f"the unit ends {sorted(missing)} were reported and are gone"
    for number in wanted:
        if view.read_unit_file(there[number], "adapter.bin") != saved_file(number):
            return f"what unit {number} saved is other bytes than were written"
    return ""
