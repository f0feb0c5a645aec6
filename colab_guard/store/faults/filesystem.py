"""A faulty fsspec file system around another one. Importing this imports fsspec."""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem

from colab_guard.store.faults.plan import Faults


class FaultyFileSystem(AbstractFileSystem):
    """`below` (any fsspec file system), with the faults of a plan. Names in the plan are paths on it.

    Of the plan's ways to fail it knows errors, hangs, `call`, `short` and `cached_reads`; the others are `FaultyPlace`'s.
    """

    protocol = "faulty"
    cachable = False

    def __init__(self, below: Any, faults: Faults, **options: Any) -> None:
        super().__init__(**options)
        self.below = below
        self.faults = faults
        self._cache: dict[str, bytes] = {}

    def ls(self, path: str, detail: bool = True, **more: Any) -> Any:
        self.faults.before("list", path)
        return self.below.ls(path, detail=detail, **more)

    def info(self, path: str, **more: Any) -> Any:
        self.faults.before("size", path)
        return self.below.info(path, **more)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
        self.faults.before("read", path)
        if self.faults.cached_reads and path in self._cache:
            return self._cache[path][start:end]
        return bytes(self.below.cat_file(path, start=start, end=end, **more))

    def put_file(self, lpath: Any, rpath: str, **more: Any) -> None:
        self.faults.before("send", rpath)
        with open(lpath, "rb") as file:
            self._store(rpath, file.read())

    def pipe_file(self, path: str, value: bytes, **more: Any) -> None:
        self.faults.before("write", path)
        self._store(path, value)

    def _store(self, path: str, data: bytes) -> None:
        self._cache[path] = data
        if self.faults.short is not None:
            data = data[: int(len(data) * self.faults.short)]
        self.below.pipe_file(path, data)

    def rm_file(self, path: str) -> None:
        self.faults.before("remove", path)
        self._cache.pop(path, None)
        self.below.rm_file(path)

    def mv(self, path1: str, path2: str, **more: Any) -> None:
        self.faults.before("rename", path1)
        self.below.mv(path1, path2, **more)

    def _open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        self.faults.before("read" if "r" in mode else "write", path)
        return self.below.open(path, mode, **more)

    def mkdir(self, path: str, create_parents: bool = True, **more: Any) -> None:
        self.below.mkdir(path, create_parents=create_parents, **more)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.below.makedirs(path, exist_ok=exist_ok)

    def invalidate_cache(self, path: str | None = None) -> None:
        self.below.invalidate_cache(path)
