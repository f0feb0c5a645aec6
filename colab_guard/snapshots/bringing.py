"""Putting files back as a commit has them, so that nothing is lost and nothing happens in silence.

A resume needs the files that the cell had written as they were at the commit: one that differs is replaced. What lay there
is kept first, in the local store's folder under `replaced/<time>/`, for the newest few resumes. Texts that people edit
(modules, notes, configurations) are brought back only where they are missing: an edit made after the loss stays, and the
commit's version is put under `replaced/<time>/committed/`. Only a text that the cell had open for writing is the cell's.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from colab_guard.errors import CannotResume
from colab_guard.store import NO_SPACE, make_private_folder

KEPT_RESUMES = 10
KEPT_BYTES = 2 * 2**30
"""Older resumes' replaced files go when there is more than this; those of the newest one always stay."""
EDITED = frozenset(
    {".py", ".pyi", ".ipynb", ".md", ".rst", ".tex", ".toml", ".yaml", ".yml", ".cfg", ".ini", ".sh", ".r", ".jl"}
    | {".c", ".h", ".cc", ".cpp", ".hpp", ".cu", ".js", ".ts", ".css", ".sql"}
)
"""Texts that people edit. Not .txt, .csv and .json: those are what programs write."""


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """`replaced`: were other here than in the commit; `left`: texts that are other here, and stay. Both by name, and
    the version that is not in the working folder lies in `where`. `later`: files that the commit does not know."""

    replaced: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    where: Path | None = None


@dataclass(slots=True)
class Bringing:
    """One resume's files. `store` is the folder under which `replaced/` is made when it is needed."""

    store: Path
    replaced: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    where: Path | None = None

    def put(self, name: str, path: Path, content: bytes, mode: int, *, cells_own: bool) -> None:
        """Let `path` hold `content`, unless it is an edited text; `cells_own`: the cell had it open for writing."""
        try:
            self._put(name, path, content, mode, cells_own)
        except OSError as error:
            remedy = "free some space" if error.errno in NO_SPACE else "mend that"
            raise CannotResume(
                f"the commit's file {name!r} cannot be written back ({error.strerror or error}); {remedy} and run the cell again, or "
                "--fresh begins again; nothing of the commit is lost"
            ) from error

    def _put(self, name: str, path: Path, content: bytes, mode: int, cells_own: bool) -> None:
        there = path.is_file()
        if there and path.stat().st_size == len(content) and path.read_bytes() == content:
            return
        if there and is_edited(name) and not cells_own:
            aside = self._aside() / "committed" / name
            make_private_folder(aside.parent)
            _write(aside, content, mode & 0o700)
            self.left.append(name)
            return
        if there:
            _keep(path, self._aside() / name)
            self.replaced.append(name)
        _write(path, content, mode)

    def _aside(self) -> Path:
        if self.where is None:
            base = self.store / "replaced"
            seconds, rest = divmod(time.time_ns(), 10**9)
            self.where = base / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(seconds))}-{rest // 1000:06d}"
            make_private_folder(self.where)
            _bound(base, self.where)
        return self.where


def is_edited(name: str) -> bool:
    """Whether `name` is a text that people edit."""
    return Path(name).suffix.lower() in EDITED


def _keep(path: Path, target: Path) -> None:
    """`path`, which is about to be replaced, stays as `target`."""
    make_private_folder(target.parent)
    try:
        os.link(path, target)  # costs nothing, but only within one file system
    except OSError:
        shutil.copy2(path, target)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".colab_guard-tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, mode)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _bound(base: Path, newest: Path) -> None:
    """Remove what the oldest resumes had replaced."""
    room = KEPT_BYTES
    earlier = sorted((folder for folder in base.iterdir() if folder != newest), key=lambda folder: folder.name, reverse=True)
    for number, folder in enumerate(earlier, start=2):
        room -= sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if number > KEPT_RESUMES or room < 0:
            shutil.rmtree(folder)
