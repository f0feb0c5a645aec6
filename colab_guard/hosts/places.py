"""Where things are kept: the home of local stores, the folder of a mirror, and what such a folder can prove."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from colab_guard.errors import MirrorUnusable, UserMistake
from colab_guard.hosts.detect import detect

DRIVE_MOUNT = Path("/content/drive")
REMOTE_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "gpfs", "beegfs"}
HUB_KINDS = (["datasets"], ["models"], ["spaces"], ["buckets"])
"""How a URL of the Hub may begin before it names anybody."""


def home() -> Path:
    """The folder of local stores: `COLAB_GUARD_HOME`, or one on the host's fast disk. Makes nothing."""
    told = os.environ.get("COLAB_GUARD_HOME")
    if told:
        return _whole_path(told, f"COLAB_GUARD_HOME={told}", UserMistake)
    return detect().fast_disk / ".colab_guard"


def _whole_path(told: str, shown: str, mistake: type[UserMistake]) -> Path:
    try:
        return Path(told).expanduser().absolute()
    except RuntimeError:
        raise mistake(f"{shown}: there is no user of that name here; give the folder's whole path") from None


def disk() -> tuple[int, int] | None:
    """Bytes free and in all on the disk of local stores; None where that is not known. Reads only.

    Drive's mount is not asked: when it has died, the call hangs, and whoever watches memory with it.
    """
    place = home()
    if DRIVE_MOUNT in place.parents:
        return None
    for folder in (place, *place.parents):
        try:
            usage = shutil.disk_usage(folder)
        except OSError:  # not made yet, or gone: the folder above is on the same disk as what will be made
            continue
        return usage.free, usage.total
    return None


@dataclass(frozen=True, slots=True)
class MirrorPlace:
    """Where a mirror lies: in a `folder`, or at a `url`. `proof` of a folder as in `proves_durability`."""

    folder: Path | None = None
    url: str | None = None
    proof: str | None = None
    drive: bool = False
    """On Drive's mount: it proves nothing, and what is deleted there still counts as used."""


def mirror_place(where: str, name: str, *, mount: Callable[[], Path] | None = None) -> MirrorPlace:
    """The mirror of `name` under `where` ("drive", a folder or a URL); of a folder as `mirror_folder`, a URL is not tried."""
    if local_part(where) is None:
        _check_named(where)
        base = where if where.endswith("://") else where.rstrip("/") + "/"
        return MirrorPlace(url=f"{base}colab_guard/{name}")
    folder = mirror_folder(where, name, mount=mount)
    drive = where == "drive" or folder.is_relative_to(DRIVE_MOUNT)
    return MirrorPlace(folder=folder, proof=None if drive else proves_durability(folder), drive=drive)


def _check_named(url: str) -> None:
    """MirrorUnusable where a URL names no bucket: the folder that is put below it would be somebody's bucket."""
    scheme, _, rest = url.partition("://")
    steps = [step for step in rest.split("/") if step.strip()]
    if scheme == "memory" or len(steps) > (scheme == "hf" and steps[:1] in HUB_KINDS):
        return
    better = "hf://datasets/USER/REPOSITORY" if scheme == "hf" else f"{scheme}://BUCKET/FOLDER"
    raise MirrorUnusable(f"--to {url} names no place of yours, and what lies below it may be somebody else's; give one like {better}")


def local_part(where: str) -> str | None:
    """What of `--to WHERE` is a path on this machine's file system; None for a URL of another."""
    scheme, mark, path = where.partition("://")
    return where if not mark else path if scheme in ("file", "local") else None


def mirror_folder(where: str, name: str, *, mount: Callable[[], Path] | None = None) -> Path:
    """The mirror of `name` under `where` ("drive", or a folder or its URL); MirrorUnusable unless it can be written to.

    Mounts Drive on Colab where that is needed. A file is written, synced and removed; nothing is left behind.
    """
    local = local_part(where) or ""
    if not local.strip():
        raise MirrorUnusable("--to names no place; give a folder that you may write, a URL, or drive")
    base = (mount or mounted_drive)() if where == "drive" else _whole_path(local, f"--to {where}", MirrorUnusable)
    folder = base / "colab_guard" / name
    _check_writable(folder, where)
    return folder


def drive_is_mounted() -> bool:
    """Whether Drive's mount is there; hangs where the mount does."""
    return (DRIVE_MOUNT / "MyDrive").is_dir()


def mounted_drive() -> Path:
    """The user's folder of Drive, mounted where it is not. That asks the page, so the thread that runs the cell has to call this."""
    if detect().kind != "colab":
        raise MirrorUnusable("--to drive works on Google Colab only; give a folder: --to /path/to/folder")
    mine = DRIVE_MOUNT / "MyDrive"
    if not mine.is_dir():
        try:
            drive = __import__("google.colab.drive", fromlist=["mount"])
            drive.mount(str(DRIVE_MOUNT))
        except Exception as error:  # whatever Colab raises without an open tab or consent
            raise MirrorUnusable(
                f"Drive could not be mounted ({error}); that needs this notebook open in a browser tab: allow it there, and run "
                "the cell again"
            ) from error
        if not mine.is_dir():  # going on would write to the machine's own disk and call it Drive
            raise MirrorUnusable(f"Drive is mounted, but {mine} is not there; unmount it, mount it again and try again")
    return mine


def _check_writable(folder: Path, where: str) -> None:
    """A real write, in the nearest folder that exists."""
    nearest = folder
    try:
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        if not nearest.is_dir():
            raise NotADirectoryError(f"{nearest} is not a folder")
        # a name of its own each time: machines that share the folder may have equal process ids
        probe = nearest / f".colab_guard-probe-{uuid.uuid4().hex}"
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, b"colab_guard")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise MirrorUnusable(f"--to {where}: cannot write there ({reason}); give a folder that you may write") from error


def proves_durability(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Why an fsync in `folder` proves that another machine has the bytes; None where it proves no such thing."""
    if not sys.platform.startswith("linux") or not mounts.exists():
        return None
    best, kind = "", ""
    target = str(folder.resolve())  # a link on a server's mount may lead back to the local disk
    for line in mounts.read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return f"{kind}: the server acknowledges fsync" if kind in REMOTE_FILE_SYSTEMS else None
