"""Writing so that a file is either whole under its name or not there: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".tmp-"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
LARGE = 16 * 2**20
"""Bytes from which on a file is worth the way past the page cache."""
BLOCK = 4096
"""What direct writes are whole multiples of, in memory and in the file; sectors have 512 bytes or this."""
BOUNCE = 2 * 2**20

Pieces = Iterable[bytes | bytearray | memoryview]


def make_folder(path: Path) -> None:
    """Make `path` and its parents, private to the user; they survive a power loss."""
    if path.is_dir():
        return
    if not path.parent.exists():
        make_folder(path.parent)
    path.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
    os.chmod(path, PRIVATE_FOLDER)  # an odd umask may have taken away what its owner needs
    sync_folder(path.parent)


def write_whole(path: Path, pieces: Pieces, *, past_cache: bool = False) -> None:
    """Write `pieces` as the file `path`; after this returns they survive a power loss.

    `past_cache`: straight to the disk where its file system can do that. The page cache would be filled with what nobody
    reads soon, and filling it may cost a processor more than all else that a commit does (measured for 726 MB: 0.14 s, and
    1.7 s where the kernel had no free pages at hand; this way 0.07 s).
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb", buffering=0):
            os.fchmod(descriptor, PRIVATE_FILE)
            if past_cache and _set_direct(descriptor, True):
                _write_direct(descriptor, pieces)
            else:
                for piece in pieces:
                    _write_all(descriptor, memoryview(piece).cast("B"))
            os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        with suppress(OSError):  # what went wrong first is told; the leftover goes with a later collection
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_private(path: Path, content: bytes) -> None:
    """Write a small file that only its user may read; whole under its name."""
    write_whole(path, [content])


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _write_direct(descriptor: int, pieces: Pieces) -> None:
    """Through memory that lies as direct writes want it; what is no whole block at the end goes the usual way."""
    with mmap.mmap(-1, BOUNCE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory, memoryview(memory) as bounce:
        filled = 0
        for piece in pieces:
            rest = memoryview(piece).cast("B")
            while rest:
                part = rest[: BOUNCE - filled]
                bounce[filled : filled + len(part)] = part
                filled, rest = filled + len(part), rest[len(part) :]
                if filled == BOUNCE:
                    _write_blocks(descriptor, bounce)
                    filled = 0
        blocks = filled - filled % BLOCK
        _write_blocks(descriptor, bounce[:blocks])
        _set_direct(descriptor, False)
        _write_all(descriptor, bounce[blocks:filled])


def _write_blocks(descriptor: int, data: memoryview) -> None:
    """Direct as long as the file system takes it so: one that wants larger blocks, or wrote a part of one, gets the rest as usual."""
    try:
        written = os.write(descriptor, data) if data else 0
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        written = 0
    if written < len(data):
        _set_direct(descriptor, False)
        _write_all(descriptor, data[written:])


def _set_direct(descriptor: int, on: bool) -> bool:
    """Whether writes go past the page cache from now on, where that was wanted."""
    if sys.platform != "linux":
        return False
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT if on else flags & ~os.O_DIRECT)
    except OSError:
        return False  # this file system has no such way
    return on


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_way_to(path: Path) -> None:
    """Sync the folder `path` and those above it on its file system; what its user may not read was made by nobody here."""
    device = path.stat().st_dev
    for folder in (path, *path.absolute().parents):
        if folder.stat().st_dev != device:
            return  # it was mounted, and not made
        with suppress(PermissionError):
            sync_folder(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that a killed writer left in `folder`."""
    for name in os.listdir(folder):
        if name.startswith(TEMPORARY):
            (folder / name).unlink(missing_ok=True)
