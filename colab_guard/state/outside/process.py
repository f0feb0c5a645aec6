"""What the cell changed of its process: environment variables, working folder, module search path.

These are put back before anything else of a snapshot is rebuilt, since imports depend on them. They are plain texts, kept
beside the graph. Only the cell's own changes are kept: the rest belongs to the host. Variables that look like secrets are
left out, and named.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from colab_guard.errors import CannotResume
from colab_guard.state import tokens
from colab_guard.state.prints import SECRET_NAME, SECRET_VALUE

EARLY = "outside"
"""The part of a snapshot that holds them."""
OF_THE_PROCESS = frozenset({"PWD", "OLDPWD", "_", "SHLVL", "COLUMNS", "LINES", "JPY_PARENT_PID", "PYTEST_CURRENT_TEST"})
"""Variables that say something of the process itself."""


class Process:
    """Made at the cell's start; `get` gives the changes since, as data for JSON, or None. `secret` are names left out."""

    def __init__(self) -> None:
        self._environment: dict[str, str | None] = dict(os.environ)
        self._raw = dict(_raw())
        self._folder = _folder()
        self._path = list(sys.path)
        self._carried: dict[str, Any] = {}
        self.secret: tuple[str, ...] = ()

    def get(self) -> dict[str, Any] | None:
        found: dict[str, Any] = {}
        if _raw() != self._raw or "environment" in self._carried:
            found |= self._variables()
        folder = _folder()
        if folder != self._folder or "folder" in self._carried:
            found["folder"], found["from"] = folder, self._carried.get("from", self._folder)
        if sys.path != self._path or "path" in self._carried:
            known = set(self._path) - set(self._carried.get("path", ()))
            found["path"] = [entry for entry in sys.path if entry not in known and isinstance(entry, str)]
            found["ahead"] = _count_ahead(sys.path, found["path"])
        return {name: value for name, value in found.items() if value is not None} or None

    def _variables(self) -> dict[str, Any]:
        here = dict(os.environ)
        carried = self._carried.get("environment", {})
        names = {name for name in here.keys() | self._environment.keys() if here.get(name) != self._environment.get(name)}
        changed = {name: here.get(name) for name in sorted(names | carried.keys()) if name not in OF_THE_PROCESS}
        self.secret = tuple(name for name, value in changed.items() if value is not None and _is_secret(name, value))
        found = {name: value for name, value in changed.items() if name not in self.secret}
        return {"environment": found} if found else {}

    def set(self, value: Mapping[str, Any] | None) -> None:
        """Put the process back into the state of a snapshot; without one, of the cell's start."""
        value = value or {}
        self._set_variables(value.get("environment", {}))
        folder = value.get("folder", self._folder)
        if folder is not None and folder != _folder():
            _go_to(folder, value.get("from"), self._folder)
        added = value.get("path", [])
        ahead = added[: value.get("ahead", 0)]
        sys.path[:] = list(dict.fromkeys([*ahead, *self._path, *added]))
        self._carried = {**self._carried, **value}

    def _set_variables(self, changed: Mapping[str, str | None]) -> None:
        wanted = {name: text for name, text in (self._environment | dict(changed)).items() if text is not None}
        for name in set(os.environ) - wanted.keys():
            if name in changed or not self._keeps(name):
                del os.environ[name]
        for name, text in wanted.items():
            if os.environ.get(name) != text and name not in OF_THE_PROCESS:
                os.environ[name] = text

    @staticmethod
    def _keeps(name: str) -> bool:
        """Secrets that the cell has set itself stay in a kernel that goes back to a snapshot: no snapshot holds them."""
        return name in OF_THE_PROCESS or _is_secret(name, os.environ[name])


def early(parts: Mapping[str, bytes]) -> dict[str, Any] | None:
    """What of a snapshot `Process.set` is to be given."""
    found: dict[str, Any] | None = json.loads(bytes(parts[EARLY])) if EARLY in parts else None
    return found


def _raw() -> Mapping[Any, Any]:
    # the mapping under `os.environ`: compared without decoding it
    found: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
    return found


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _is_secret(name: str, value: str) -> bool:
    if SECRET_NAME.search(name) is not None or SECRET_VALUE.match(value) is not None:
        return True
    return bool(tokens.holds(value.encode("utf-8", "surrogatepass")))


def _count_ahead(path: list[str], added: list[str]) -> int:
    """How many of `added` stand before everything else."""
    count = 0
    while count < len(added) and path[count] == added[count]:
        count += 1
    return count


def _go_to(folder: str, start_then: str | None, start_now: str | None) -> None:
    """Into the folder that the cell had changed to: the same, or the one that lies where it lay from the start."""
    places = [folder]
    if start_then is not None and start_now is not None:
        places.append(os.path.normpath(os.path.join(start_now, os.path.relpath(folder, start_then))))
    for place in places:
        if os.path.isdir(place):
            os.chdir(place)
            return
    inside = places[-1]
    if start_now is not None and os.path.commonpath([inside, start_now]) == start_now:
        os.makedirs(inside, exist_ok=True)  # a folder that the cell had made, and that held no file
        os.chdir(inside)
        return
    raise CannotResume(f"the cell had changed to the folder {folder}, which is not here; make it, or begin again with --fresh")
