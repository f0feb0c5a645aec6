"""A mirror in a folder: Drive's mount, a server's, a disk.

A mount may go while the folder that it hung on stays: what is written there then lies on this machine's own disk. So a
folder that was there once is never made anew, and one that proves something must be the same as before.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from colab_guard.errors import ForeignStore, MirrorUnusable
from colab_guard.store import disk
from colab_guard.store.mirror.place import SYNC_BYTES, Moved, Receipt, Traits, go_on
from colab_guard.store.names import check_no_links, open_plain
from colab_guard.store.packs import PIECE_BYTES

LEFTOVER_S = 3600.0
"""A temporary file that nobody wrote to for so long, by the clocks of the place and of this machine, is a killed writer's."""


class FolderPlace:
    """The folder `path`. `proof`: why an fsync there proves that another machine has the bytes; None: it proves nothing."""

    def __init__(self, path: Path, proof: str | None = None, traits: Traits | None = None) -> None:
        self.path = path
        self._proof = proof
        self._traits = traits or Traits()
        self._met: tuple[int, int] | None = None
        """Device and number of the folder, since it was there."""
        self._looked: float | None = None
        """When leftovers were looked for."""

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def traits(self) -> Traits:
        return self._traits

    def names(self, part: str) -> dict[str, int]:
        self._check_no_links([part])
        try:
            found = [path for path in (self.path / part).iterdir() if not path.name.startswith(disk.TEMPORARY)]
        except FileNotFoundError:
            return {}
        sizes = {path.name: self.size(f"{part}/{path.name}") for path in found}
        return {name: size for name, size in sizes.items() if size is not None}

    def size(self, name: str) -> int | None:
        try:
            status = (self.path / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        with open_plain(self.path / name) as file:
            file.seek(start)
            return file.read(-1 if length is None else length)

    def send(self, source: Path, name: str, moved: Moved = go_on) -> Receipt | None:
        with source.open("rb") as reading:
            self._put(name, iter(lambda: reading.read(PIECE_BYTES), b""), moved)
        return self._receipt()

    def receipt(self, source: Path, name: str, moved: Moved = go_on) -> Receipt | None:
        """The server's word holds for what is synced once more now."""
        if self._proof is None:
            return None
        descriptor = os.open(self.path / name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return self._receipt()

    def _receipt(self) -> Receipt | None:
        self._check_same()
        return None if self._proof is None else Receipt(self._proof, by_content=False)

    def write(self, name: str, data: bytes) -> None:
        self._put(name, [data], go_on)

    def _put(self, name: str, data: Iterable[bytes], moved: Moved) -> None:
        """It appears under its name whole, as far as the place has a rename. Synced on the way: each fsync takes a short time."""
        target = self.path / name
        temporary = target.with_name(f"{disk.TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}-{target.name}")
        # others may write in this folder: what lies under that name, or where a link leads, is not ours
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, disk.PRIVATE_FILE)
        try:
            with os.fdopen(descriptor, "wb") as writing:
                unsynced = 0
                for piece in data:
                    moved()
                    writing.write(piece)
                    unsynced += len(piece)
                    if unsynced >= SYNC_BYTES:
                        writing.flush()
                        os.fsync(descriptor)
                        unsynced = 0
                writing.flush()
                moved()
                os.fsync(descriptor)
            moved()
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if self._proof is not None:
            disk.sync_folder(target.parent)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def make_folders(self, parts: Iterable[str]) -> None:
        parts = list(parts)
        self._check_no_links(parts)
        self._check_same()
        for part in parts:
            _make_private(self.path / part)
        self._met = self._found()
        if self._looked is None or time.monotonic() - self._looked > LEFTOVER_S:
            self._looked = time.monotonic()
            self._remove_leftovers(parts)

    def _check_same(self) -> None:
        """MirrorUnusable where the folder went, or is another one. What proves nothing may be mounted anew."""
        found = self._found()
        if self._met is None or found == self._met or (found is not None and self._proof is None):
            return
        what = "is there no more" if found is None else "is another folder than before"
        raise MirrorUnusable(
            f"{self.path} {what}: it was removed, or is not mounted; put it back, or run the cell again to begin it anew"
        )

    def _found(self) -> tuple[int, int] | None:
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _remove_leftovers(self, parts: Iterable[str]) -> None:
        for part in parts:
            for path in (self.path / part).glob(f"{disk.TEMPORARY}*"):
                with suppress(OSError):  # somebody else may remove it at the same time; it is looked for again
                    if time.time() - path.lstat().st_mtime > LEFTOVER_S:
                        path.unlink()

    def _check_no_links(self, parts: Iterable[str]) -> None:
        """A mirror's files are its own: what lies behind a link is somebody else's, and is neither read nor removed."""
        if linked := check_no_links(self.path, parts):
            raise ForeignStore(f"{self.path / linked} is a link, and no folder of a mirror; put the mirror's own folder there")

    def free_bytes(self) -> int | None:
        nearest = self.path
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        try:
            return shutil.disk_usage(nearest).free
        except OSError:
            return None


def _make_private(path: Path) -> None:
    """Make `path` and those of its parents that are not there, each private to the user; what was there stays as it is."""
    if not path.parent.exists():
        _make_private(path.parent)
    path.mkdir(mode=disk.PRIVATE_FOLDER, exist_ok=True)
