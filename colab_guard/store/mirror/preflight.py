"""Before the work begins: a file is sent to the mirror, read back and removed. What was found is said in one line."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from colab_guard.errors import MirrorUnusable
from colab_guard.store.disk import TEMPORARY
from colab_guard.store.mirror.calls import Call
from colab_guard.store.mirror.place import Place
from colab_guard.store.mirror.url import unusable

PROBE_BYTES = 2**18
LIMIT_S = 60.0
PROBE_PART = "leases"
"""The folder of small files."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a place showed: `seconds` for 256 KiB there and back (mostly its delay), free space and proof where known."""

    seconds: float
    free_bytes: int | None
    proof: str

    @property
    def bytes_per_s(self) -> float:
        """At least so fast: both ways, delays included."""
        return 2 * PROBE_BYTES / max(self.seconds, 1e-3)


def try_place(place: Place, where: str, call: Call) -> Tried:
    """Write, read back and remove a file of random bytes; MirrorUnusable in one line where that cannot be done."""
    name = f"{PROBE_PART}/{TEMPORARY}probe-{uuid.uuid4().hex}"  # a kill may leave it there
    content = os.urandom(PROBE_BYTES)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="colab_guard-") as made:
            source = Path(made) / "probe"
            source.write_bytes(content)
            place.make_folders([PROBE_PART])
            receipt = place.send(source, name, call.moved)
        try:
            call.moved()
            back = place.read(name)
        finally:
            place.remove(name)
    except Exception as error:  # whatever the place raises: the work has not begun, and is not begun on a broken promise
        raise MirrorUnusable(unusable(where, error)) from error
    if back != content:
        raise MirrorUnusable(f"--to {where}: what is written there does not read back equal; give another place")
    proof = "" if receipt is None else receipt.proof
    return Tried(time.monotonic() - began, place.free_bytes(), proof)
