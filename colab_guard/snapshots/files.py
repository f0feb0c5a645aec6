"""Files that the cell writes: what changed in the working folder since the cell began goes into its commits.

On resume they are brought back as they were at the commit. Nothing is deleted: files that came after the commit stay,
and are named. Large files, and more files than can be looked at, are named as not kept. Notebooks are left alone: Jupyter
saves them while a cell runs, and a resume must never put an old one over what people have edited since.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from colab_guard.store import FileDraft
from colab_guard.store.types import stamp_of

FILE_LIMIT = 256 * 2**20
ENTRY_LIMIT = 20_000
SMALL = 4 * 2**20
"""Files up to this size are read at every safe point (1 ms)."""
SKIPPED_NAMES = (".colab_guard-tmp", ".ipynb")
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "lost+found", "sample_data"}

Stamp = tuple[int, int, int]


@dataclass(slots=True)
class FolderWatch:
    """Watches `root` from the moment it is made. `globs` names files that are kept whatever their size."""

    root: Path
    excluded: tuple[Path, ...] = ()
    globs: tuple[str, ...] = ()
    limit: int = FILE_LIMIT
    not_kept: dict[str, str] = field(default_factory=dict)
    whole: bool = True
    _start: dict[str, Stamp] = field(default_factory=dict)
    _carried: set[str] = field(default_factory=set)
    _seen: dict[str, Stamp] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.excluded = tuple(path.resolve() for path in self.excluded)
        self._start = dict(self._scan())

    def changed(self) -> dict[str, Path]:
        """Relative name → path of what changed since the start (or came back with a commit) and can be kept."""
        found: dict[str, Path] = {}
        for name, stamp in self._scan():
            if self._start.get(name) == stamp and name not in self._carried:
                continue
            if stamp[0] > self.limit and not self._named(name):
                self.not_kept[name] = f"{stamp[0] / 2**20:.0f} MiB; --files '{name}' keeps it"
                continue
            found[name] = self.root / name
        return found

    def pinned(self) -> dict[str, FileDraft]:
        """The same with the content that the files have now, as far as it might change before it is written."""
        found: dict[str, FileDraft] = {}
        seen: dict[str, Stamp] = {}
        for name, path in self.changed().items():
            try:
                status = path.stat()
                stamp = seen[name] = stamp_of(status)
                still = self._seen.get(name) == stamp and stamp[0] > SMALL
                found[name] = FileDraft(path, status.st_mode & 0o777, stamp, None if still else path.read_bytes())
            except FileNotFoundError:
                continue  # it went away since it was listed
        self._seen = seen
        return found

    def restore(self, names: Iterable[str], read: Callable[[str], bytes], modes: Mapping[str, int]) -> list[str]:
        """Bring `names` back as they were; give the files changed since the start that the commit does not know."""
        known = {name for name in names if not name.endswith(SKIPPED_NAMES)}
        for name in known:
            path = self._inside(name)
            content = read(name)
            if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(path.name + ".colab_guard-tmp")
            temporary.write_bytes(content)
            temporary.chmod(modes.get(name, 0o644))
            os.replace(temporary, path)
        self._carried |= known
        return sorted(set(self.changed()) - known)

    def _inside(self, name: str) -> Path:
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise ValueError(f"{name!r} leaves the working folder")
        return path

    def _named(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, glob) for glob in self.globs)

    def _scan(self) -> Iterator[tuple[str, Stamp]]:
        """Regular files under the root, on its own file system; links are not followed."""
        device = self.root.stat().st_dev
        seen = 0
        stack = [self.root]
        while stack:
            folder = stack.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue  # vanished or not ours to read: nothing in it can be the cell's
            for entry in entries:
                seen += 1
                if seen > ENTRY_LIMIT:
                    self.whole = False
                    return
                if entry.is_symlink():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if self._watched(entry, device):
                        stack.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(SKIPPED_NAMES):
                    status = entry.stat(follow_symlinks=False)
                    yield os.path.relpath(entry.path, self.root), stamp_of(status)

    def _watched(self, entry: os.DirEntry[str], device: int) -> bool:
        if entry.name.startswith(".") or entry.name in SKIPPED_FOLDERS:
            return False
        if Path(entry.path).resolve() in self.excluded:
            return False
        return entry.stat(follow_symlinks=False).st_dev == device
