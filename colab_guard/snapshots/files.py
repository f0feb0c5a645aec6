"""Files that the cell writes: what changed in the working folder since the cell began goes into its commits.

On resume they are brought back as they were at the commit (`bringing` tells how). Nothing is deleted: files that came
after the commit stay, and are named. Large files, and more files than can be looked at, are named as not kept. Notebooks
are left alone: Jupyter saves them while a cell runs, and a resume must never put an old one over what people have edited.
"""

from __future__ import annotations

import errno
import fnmatch
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from colab_guard.errors import CannotResume
from colab_guard.snapshots.bringing import Bringing, BroughtBack, is_edited
from colab_guard.state import file_holds_secret
from colab_guard.store import name_is_text

FILE_LIMIT = 256 * 2**20
ENTRY_LIMIT = 20_000
SKIPPED_NAMES = (".colab_guard-tmp", ".ipynb")
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "lost+found", "sample_data"}

CLOCK_TICK_NS = 50_000_000
"""Two changes of one file within this time may leave the same stamp."""

Stamp = tuple[int, int, int]
_numbers = itertools.count()


@dataclass(slots=True)
class FolderWatch:
    """Watches `root` from the moment it is made. `globs` names files that are kept whatever their size.

    `staging` is a folder for copies: the cell goes on writing while a commit is stored.
    """

    root: Path
    excluded: tuple[Path, ...] = ()
    globs: tuple[str, ...] = ()
    limit: int = FILE_LIMIT
    not_kept: dict[str, str] = field(default_factory=dict)
    whole: bool = True
    _start: dict[str, Stamp] = field(default_factory=dict)
    _carried: set[str] = field(default_factory=set)
    staging: Path | None = None
    _copies: dict[str, tuple[Stamp, Path]] = field(default_factory=dict)
    _unstored: int = 0
    """Bytes of copies that no pack holds yet: they will need the same room once more."""
    _clean: dict[str, Stamp] = field(default_factory=dict)
    _left_out: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        # no link is followed below the root, so that a name there has one way to it
        root = self.root.resolve()
        self._left_out = {str(path.relative_to(root)) for path in map(Path.resolve, self.excluded) if path.is_relative_to(root)}
        self._start = dict(self._scan())

    def changed(self) -> dict[str, Path]:
        """Relative name → path of what changed since the start (or came back with a commit) and can be kept."""
        found: dict[str, Path] = {}
        for name, stamp in self._scan():
            if self._start.get(name) == stamp and name not in self._carried:
                continue
            if not name_is_text(name):
                self.not_kept[name.encode(errors="surrogateescape").decode(errors="backslashreplace")] = "its name is no UTF-8 text"
                continue
            if stamp[0] > self.limit and not self._named(name):
                self.not_kept[name] = f"{stamp[0] / 2**20:.0f} MiB; --files '{name}' keeps it"
                continue
            found[name] = self.root / name
        return found

    def captured(self) -> dict[str, Path]:
        """`changed` as it is now: copies, which later changes do not reach. They hold until the next call, or `forget`."""
        found = self.changed()
        if self.staging is None:
            return found
        for name in [name for name in self._copies if name not in found]:
            self._let_go(name)
        self._unstored = 0
        kept = {name: copy for name, path in found.items() if (copy := self._copy(name, path)) is not None}
        return {name: copy for name, copy in kept.items() if not self._holds_secret(name, copy)}

    def _copy(self, name: str, path: Path) -> Path | None:
        """A copy of the file as it is now; None where there can be none: then it is named, and everything else is kept."""
        assert self.staging is not None
        try:
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
            known = self._copies.get(name)
            if known is not None and known[0] == stamp and time.time_ns() - stamp[1] >= CLOCK_TICK_NS:
                return known[1]
            self._let_go(name)
            room = shutil.disk_usage(self.staging)
            if room.total and room.free - self._unstored < 2 * status.st_size:  # some file systems tell nothing
                raise OSError(errno.ENOSPC, f"no room for {status.st_size / 2**20:.0f} MiB twice in {self.staging}")
            target = self.staging / f".tmp-{os.getpid()}-file-{next(_numbers)}"
            _copy_whole(path, target)
        except FileNotFoundError:
            return None  # it went away meanwhile
        except OSError as error:
            self.not_kept[name] = f"it cannot be copied ({error.strerror or error}); commits go without it until it can be"
            return None
        self._copies[name] = (stamp, target)
        self._unstored += status.st_size
        self.not_kept.pop(name, None)
        return target

    def _holds_secret(self, name: str, copy: Path) -> bool:
        """Whether the file is left out, and named: to change what is in it would bring back another file in silence."""
        stamp = self._copies[name][0]
        if self._clean.get(name) == stamp and time.time_ns() - stamp[1] >= CLOCK_TICK_NS:
            return False
        what = file_holds_secret(copy)
        if what:
            self.not_kept[name] = f"it holds {what}, which no commit stores"
            self._let_go(name)
            return True
        self._clean[name] = stamp
        return False

    def forget(self) -> None:
        """Remove the copies."""
        for name in list(self._copies):
            self._let_go(name)

    def _let_go(self, name: str) -> None:
        """Remove the copy of that file, if there is one; what cannot be removed goes when the store is opened again."""
        if name in self._copies:
            with suppress(OSError):
                self._copies.pop(name)[1].unlink(missing_ok=True)

    def held(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that are texts as people edit them, but that this process has open for writing now."""
        texts = {os.path.realpath(self.root / name): name for name in names if is_edited(name)}
        if not texts:
            return []
        opened = {file.path for file in psutil.Process().open_files() if getattr(file, "mode", "r") != "r"}
        return sorted(name for path, name in texts.items() if path in opened)

    def restore(
        self, names: Iterable[str], read: Callable[[str], bytes], modes: Mapping[str, int], held: Iterable[str] = ()
    ) -> BroughtBack:
        """Bring `names` back as they were; say what was replaced, what was left, and what the commit does not know.

        `held` are those that the cell had open for writing at the commit. What lay there before is kept under `staging`.
        """
        assert self.staging is not None
        known = {name for name in names if not name.endswith(SKIPPED_NAMES)}
        own = set(held)
        bringing = Bringing(self.staging)
        for name, path in [(name, self._inside(name)) for name in sorted(known)]:
            bringing.put(name, path, read(name), modes.get(name, 0o644), cells_own=name in own)
        self._carried |= known
        later = tuple(sorted(set(self.changed()) - known))
        return BroughtBack(tuple(bringing.replaced), tuple(bringing.left), later, bringing.where)

    def _inside(self, name: str) -> Path:
        """Where `name` lies below the root; CannotResume where something is in its way, or a link: nothing is written through one."""
        path = self.root / name
        steps = [path, *itertools.takewhile(lambda folder: folder != self.root, path.parents)]
        linked = next((step for step in reversed(steps) if os.path.islink(step)), None)
        if linked is not None or os.path.normpath(path) != str(path) or not path.is_relative_to(self.root):
            where = f"the link {os.path.relpath(linked, self.root)!r}" if linked is not None else "a name that leaves it"
            raise CannotResume(
                f"the commit's file {name!r} would be written to outside of the working folder, by {where}; move the link away to go "
                "on, or --fresh begins again"
            )
        right = {path: os.path.isfile}
        other = next((step for step in steps if os.path.exists(step) and not right.get(step, os.path.isdir)(step)), None)
        if other is not None:
            kind = "a folder" if other.is_dir() else "a file" if other.is_file() else "neither a file nor a folder"
            wanted = f"the {'file' if other == path else 'folder of the file'} {name!r}"
            raise CannotResume(f"{other} is {kind}, where the commit has {wanted}; move it away to go on, or --fresh begins again")
        return path

    def _named(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, glob) for glob in self.globs)

    def _scan(self) -> Iterator[tuple[str, Stamp]]:
        """Regular files under the root, on its own file system; links are not followed. This runs at every snapshot."""
        device = self.root.stat().st_dev
        seen = 0
        stack = [(str(self.root), "")]
        while stack:
            folder, prefix = stack.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue  # vanished or not ours to read: nothing in it can be the cell's
            seen += len(entries)
            if seen > ENTRY_LIMIT:
                self.whole = False
                return
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if self._watched(entry, name, device):
                        stack.append((entry.path, f"{name}/"))
                elif entry.is_file(follow_symlinks=False) and not name.endswith(SKIPPED_NAMES):
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # as above
                    yield name, (status.st_size, status.st_mtime_ns, status.st_ino)

    def _watched(self, entry: os.DirEntry[str], name: str, device: int) -> bool:
        if entry.name.startswith(".") or entry.name in SKIPPED_FOLDERS or name in self._left_out:
            return False
        try:
            return entry.stat(follow_symlinks=False).st_dev == device
        except OSError:
            return False


def _copy_whole(path: Path, target: Path) -> None:
    """Nothing stays under `target` where that fails: half a copy would fill the disk that the cell writes to."""
    try:
        shutil.copy2(path, target)
    except BaseException:
        with suppress(OSError):
            target.unlink(missing_ok=True)
        raise
