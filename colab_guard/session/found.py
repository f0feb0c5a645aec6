"""What lies under the home folder: which NAMEs have a store, and what is saved there. Reads only."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colab_guard.errors import GuardError

if TYPE_CHECKING:
    from colab_guard.store import CommitRecord

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Found:
    """One store: its NAME, its commits (newest first), and the one-line reason where it cannot be read."""

    name: str
    commits: tuple[CommitRecord, ...] = ()
    problem: str = ""

    @property
    def to_resume(self) -> bool:
        """Whether something is saved whose cell had not ended."""
        return bool(self.commits) and self.commits[0].kind != "cell"


def names() -> list[str]:
    """NAMEs that have a store, by a look at the folder alone."""
    return [folder.name for folder in _folders()]


def look() -> list[Found]:
    """All stores, from their commit records; no state is read or verified."""
    folders = _folders()
    return [one(folder) for folder in folders]


def one(folder: Path) -> Found:
    """The store in `folder`."""
    view = importlib.import_module("colab_guard.store").Store.view
    try:
        return Found(folder.name, tuple(view(folder).commits()))
    except (GuardError, OSError) as error:
        return Found(folder.name, problem=str(error))


def to_resume(stores: Iterable[Found]) -> str:
    """One line that names what is unfinished among them, with what to do; empty where all is finished."""
    unfinished = [store.name for store in stores if store.to_resume]
    return f"To resume: {', '.join(unfinished)} (run the same cells again)." if unfinished else ""


def words(found: Found, limit: int = SHOWN) -> list[str]:
    """Lines for people: one per commit, the newest first."""
    if found.problem:
        return [f"{found.name}: cannot be read: {found.problem}"]
    if not found.commits:
        return [f"{found.name}: nothing saved yet"]
    lines = [f"{found.name}: {len(found.commits)} saved"]
    for commit in found.commits[:limit]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(commit.created))
        where = commit.position.get("text") or commit.kind
        lines.append(f"  {when}  {commit.kind:<4}  {where}  {commit.bytes_total / 2**20:.1f} MiB  {commit.id}")
    if len(found.commits) > limit:
        lines.append(f"  and {len(found.commits) - limit} older")
    return lines


def home() -> Path:
    """Where the local stores are."""
    folder: Path = importlib.import_module("colab_guard.hosts").home()
    return folder


def _folders() -> list[Path]:
    root = home()
    if not root.is_dir():
        return []
    return sorted(folder for folder in root.iterdir() if (folder / "FORMAT").is_file())
