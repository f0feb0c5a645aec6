"""Reading a mirror so that one failed or short answer is not taken for what is there.

What fails is tried again, and is an error then, never an empty file. What is not as its name says is read again: where
it is the same twice it is damaged there; where it is another each time, nobody can tell what is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from blake3 import blake3

from colab_guard.errors import GuardError, MirrorUnusable
from colab_guard.store import disk
from colab_guard.store.mirror.folder import FolderPlace
from colab_guard.store.mirror.place import HASHED, Moved, Place, go_on, intact, pieces
from colab_guard.store.packs import digest
from colab_guard.workers import Abandoned

T = TypeVar("T")
TRIES = 3
PAUSE_S = 0.2


def patiently(place: Place, what: str, action: Callable[[], T], moved: Moved = go_on) -> T:
    """What `action` gives, which asks the place for `what`; MirrorUnusable in one line where it fails each time."""
    for left in reversed(range(TRIES)):
        moved()
        try:
            return action()
        except (FileNotFoundError, Abandoned, GuardError):
            raise
        except Exception as error:  # whatever a file system raises; gcsfs and others have errors of their own
            if not left:
                why = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise MirrorUnusable(
                    f"--to {place.name}: {what} cannot be read ({why}); run the cell again when it can be, or leave --to out"
                ) from error
            time.sleep(PAUSE_S)
    raise AssertionError("the last try returns or raises")


def small(place: Place, name: str, moved: Moved = go_on) -> bytes:
    """A small file: as its name says, or twice the same."""
    before: bytes | None = None
    for _ in range(TRIES):
        data = patiently(place, name, lambda: place.read(name), moved)
        match = HASHED.search(name)
        if data == before or (data.endswith(b"\n") if match is None else digest(data).startswith(match[1])):
            return data
        before = data
    raise _unsteady(place, name)


def bring_pack(place: Place, name: str, local: Path, moved: Moved) -> bool:
    """Write the pack `name` of the place into the store `local`, where it gets its name once it is proved whole.

    False where it is damaged there, or gone: then nothing is written.
    """
    target = local / name
    arriving = target.with_name(f"{disk.TEMPORARY}{os.getpid()}-arriving-{target.name}")
    here, before = FolderPlace(local), ""
    try:
        for _ in range(TRIES):
            try:
                disk.write_whole(arriving, _read(place, name, moved))
            except FileNotFoundError:
                return False  # collected meanwhile
            if intact(here, name, moved=moved, lies=f"packs/{arriving.name}"):
                os.rename(arriving, target)
                disk.sync_folder(target.parent)
                return True
            found = _hash_of(arriving, moved)
            if found == before:
                return False
            before = found
    finally:
        arriving.unlink(missing_ok=True)
    raise _unsteady(place, name)


def _read(place: Place, name: str, moved: Moved) -> disk.Pieces:
    def read(start: int, length: int) -> bytes:
        return patiently(place, name, lambda: place.read(name, start, length), moved)

    return pieces(place, name, moved, read=read)


def _hash_of(path: Path, moved: Moved) -> str:
    hasher = blake3()
    for piece in pieces(FolderPlace(path.parent), path.name, moved):
        hasher.update(piece)
    return hasher.hexdigest()


def _unsteady(place: Place, name: str) -> MirrorUnusable:
    return MirrorUnusable(
        f"--to {place.name}: {name} is another at each look, and none is whole; run the cell again, or leave --to out"
    )
