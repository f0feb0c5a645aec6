"""The folder that an export goes to: new, empty, or an earlier export, of which all is what that says it wrote. Never another."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path

from colab_guard.errors import StoreDamaged, UserMistake
from colab_guard.store.disk import sync_folder
from colab_guard.store.names import read_plain
from colab_guard.store.view import FORMAT_NAME

MADE = "export.json"
WROTE = "wrote"
"""In it: the files of the export."""
SHOWN = 200


def expanded(target: Path) -> Path:
    """`target` as a whole path, with the user's home in the place of `~`."""
    try:
        return Path(os.path.abspath(target.expanduser()))
    except RuntimeError:
        raise UserMistake(f"--to {target}: there is no user of that name here; give the folder's whole path") from None


def check_target(target: Path, force: bool) -> None:
    """UserMistake unless an export may be put at `target`; with `force` in the place of an earlier one. Reads only."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UserMistake(f"{target} is {'a link' if target.is_symlink() else 'no folder'}; give another folder to --to")
    real = target.resolve()
    store = next(filter(_is_store, (real, *real.parents)), None)
    if store is not None:
        raise UserMistake(f"{target} lies in the store {store}, which would be damaged by it; give another folder to --to")
    if not target.exists() or not any(target.iterdir()):
        return
    foreign = _foreign(target)
    if foreign:
        raise UserMistake(
            f"{target} holds something else ({foreign[:SHOWN]!r}), which is never overwritten; give a folder that is new or empty to --to"
        )
    if not force:
        raise UserMistake(f"{target} holds an earlier export; --force replaces it, or give another folder to --to")


def _is_store(folder: Path) -> bool:
    try:
        return read_plain(folder / "FORMAT").startswith(FORMAT_NAME.encode())
    except (OSError, StoreDamaged):
        return False


def _foreign(target: Path) -> str:
    """The name of something in `target`, which is not empty, that no export wrote there, as the export says; "" for nothing."""
    try:
        told = json.loads(read_plain(target / MADE))
        wrote = set(told[WROTE]) if told.keys() >= {"store", "units", WROTE} else set()
    except (OSError, StoreDamaged, ValueError, TypeError, AttributeError, RecursionError):
        wrote = set()
    if not wrote:
        return next(target.iterdir()).name
    return next((name for name in files_below(target) if name not in wrote), "")


def files_below(folder: Path) -> list[str]:
    """The names of all that lies below `folder` and is no folder itself; what a link leads to does not."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def put_in_place(beside: Path, target: Path) -> None:
    """Give the folder `beside` the name `target`, which was checked; what was there goes."""
    old = None
    if target.exists():
        old = target.parent / f".colab_guard-export-{uuid.uuid4().hex}"
        os.rename(target, old)
    os.rename(beside, target)
    sync_folder(target.parent)
    if old is not None:
        shutil.rmtree(old)
