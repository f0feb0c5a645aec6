"""A mirror behind an fsspec URL: `gs://`, `s3://`, `hf://`, `memory://` and others. fsspec is imported when used.

`file://` is a folder like others (`hosts.mirror_place`), whose files are private.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from colab_guard.errors import MirrorUnusable, MissingExtra, StoreDamaged
from colab_guard.store.mirror.place import Moved, NotThereYet, Receipt, Traits, go_on, intact
from colab_guard.store.mirror.receipts import READ_BACK, Sums, by_checksum

PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "s3a": "s3fs", "hf": "huggingface_hub", "az": "adlfs", "abfs": "adlfs"}
HAVE_FOLDERS = frozenset({"file", "local", "memory", "sftp", "ssh", "smb", "ftp"})
"""Elsewhere folders are only parts of names; making one might make a bucket that nobody asked for."""
CACHES = ("filecache", "simplecache", "blockcache", "cached")
REQUEST_BYTES = 100 * 2**20
"""gcsfs and s3fs send no more than that in one request."""
ENDLESS_BYTES = 2**50
HUB_PAUSE_S = 600.0
"""Each file sent to the Hub is a git commit there, and it takes about 128 of them an hour from one user."""


class UrlPlace:
    """The folder `url`. `filesystem` stands in for the one that fsspec finds (a faulty one, say)."""

    def __init__(self, url: str, *, filesystem: Any = None) -> None:
        self._url = url.rstrip("/") if not url.endswith("://") else url
        self.protocol = url.partition("://")[0]
        if "::" in url or self.protocol in CACHES:
            raise MirrorUnusable(f"--to {url}: a cache answers there and not the far side; give the plain URL behind it")
        if filesystem is None:
            self._fs, self._root = _opened(self._url, self.protocol)
        else:
            self._fs, self._root = filesystem, self._url.partition("://")[2]
        hub = self.protocol == "hf"
        pause, silent = (HUB_PAUSE_S, ENDLESS_BYTES) if hub else (0.0, REQUEST_BYTES)
        self._traits = Traits(beats=not hub, keeps_deleted=hub, least_pause_s=pause, silent_bytes=silent)

    @property
    def name(self) -> str:
        return self._url

    @property
    def traits(self) -> Traits:
        return self._traits

    def names(self, part: str) -> dict[str, int]:
        self._fs.invalidate_cache()
        try:
            listed = self._fs.ls(self._at(part), detail=True)
        except FileNotFoundError:
            return {}
        files = [entry for entry in listed if entry.get("type") == "file"]
        return {str(entry["name"]).rpartition("/")[2]: int(entry["size"] or 0) for entry in files}

    def size(self, name: str) -> int | None:
        info = self._info(name)
        return None if info is None or info.get("type") == "directory" else int(info["size"] or 0)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        if start == 0 and length is None:
            return bytes(self._fs.cat_file(self._at(name)))
        size = self.size(name)
        if size is None:
            raise FileNotFoundError(f"{self._url}/{name}")
        end = size if length is None else min(size, start + length)
        return bytes(self._fs.cat_file(self._at(name), start=start, end=end)) if start < end else b""

    def send(self, source: Path, name: str, moved: Moved = go_on) -> Receipt | None:
        moved()
        self._fs.put_file(str(source), self._at(name), callback=_telling(moved))
        moved()
        return self.receipt(source, name, moved)

    def receipt(self, source: Path, name: str, moved: Moved = go_on) -> Receipt | None:
        if self.protocol not in READ_BACK:
            return None
        info = self._info(name)
        if info is None:
            raise NotThereYet(f"{name} was sent, and is not there yet")
        proved = by_checksum(self.protocol, info, Sums(source))
        if proved is not None:
            return proved
        if not intact(self, name, source, moved):
            raise StoreDamaged(f"{name} is not there as it was sent")
        return Receipt(f"read back through the interface of {self.protocol}://")

    def write(self, name: str, data: bytes) -> None:
        self._fs.pipe_file(self._at(name), data)

    def remove(self, name: str) -> None:
        try:
            self._fs.rm_file(self._at(name))
        except FileNotFoundError:
            return

    def make_folders(self, parts: Iterable[str]) -> None:
        if self.protocol in HAVE_FOLDERS:
            for part in parts:
                self._fs.makedirs(self._at(part), exist_ok=True)

    def free_bytes(self) -> int | None:
        return None

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _info(self, name: str) -> dict[str, Any] | None:
        self._fs.invalidate_cache()
        try:
            return dict(self._fs.info(self._at(name)))
        except FileNotFoundError:
            return None


def _telling(moved: Moved) -> Any:
    """fsspec's way to be told that bytes went out."""
    base: Any = importlib.import_module("fsspec.callbacks").Callback

    class Telling(base):
        def call(self, hook_name: str | None = None, **values: Any) -> None:
            moved()

    return Telling()


def _opened(url: str, protocol: str) -> tuple[Any, str]:
    """The file system and the path on it; one line where it cannot be had."""
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError as error:
        raise MissingExtra(f"--to {url} needs the package fsspec; type %pip install fsspec") from error
    try:
        fs, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = PACKAGES.get(protocol)
        hint = f"type %pip install {package}" if package else str(error).splitlines()[0]
        raise MissingExtra(f"--to {url} needs a package that is not installed: {hint}") from error
    except Exception as error:  # whatever a file system raises when it is made: unknown protocol, bad URL, credentials
        raise MirrorUnusable(unusable(url, error)) from error
    return fs, root


HINTS = {
    "gs": "run google.colab.auth.authenticate_user() in a cell, or set GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and check the bucket's name",
    "hf": "set HF_TOKEN to a token that may write, and use hf://datasets/USER/REPOSITORY",
}


def unusable(where: str, error: BaseException) -> str:
    """One line: what failed, why, what to type next."""
    protocol = {"gcs": "gs", "s3a": "s3"}.get(where.partition("://")[0], where.partition("://")[0])
    hint = HINTS.get(protocol, "give a place that you may write")
    said = (str(error).splitlines() or [""])[0][:200]
    return f"--to {where}: cannot be used ({type(error).__name__}{': ' if said else ''}{said}); {hint}"
