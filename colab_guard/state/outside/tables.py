"""Tables of settings that libraries and Python keep: warnings' filters, matplotlib's rcParams, pandas' options."""

from __future__ import annotations

import copy
import importlib
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from colab_guard.state.outside.adapters import UNKNOWN

OF_THE_HOST = frozenset({"backend", "backend_fallback", "interactive", "toolbar", "timezone", "datapath"})
"""rcParams that say how figures reach the screen here."""


class Filters:
    """`warnings.filters`, once the cell (or an import in it) has changed them."""

    name = "warnings' filters"

    def __init__(self) -> None:
        self._start: Any = list(warnings.filters)
        self._carried = False

    def available(self) -> bool:
        return True

    def get(self) -> list[Any] | None:
        return list(warnings.filters) if self._carried or warnings.filters != self._start else None

    def set(self, value: list[Any] | None) -> None:
        wanted = self._start if value is None else value
        self._carried = self._carried or value is not None
        if warnings.filters != wanted:
            warnings.filters[:] = wanted  # type: ignore[index]
            _filters_changed()


def _filters_changed() -> None:
    # what was warned of once under the old filters is looked at again
    for name in ("_filters_mutated", "_filters_mutated_lock_held"):
        if hasattr(warnings, name):
            with getattr(warnings, "_lock", _NoLock()) if name.endswith("held") else _NoLock():
                getattr(warnings, name)()
            return


class _NoLock:
    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


class RcParams:
    """What of matplotlib's rcParams is not its default."""

    name = "matplotlib's rcParams"

    def __init__(self) -> None:
        self._seen: dict[str, Any] = {}
        self._changed: dict[str, Any] = {}
        self._start = self.get() if self.available() else None

    def available(self) -> bool:
        return hasattr(sys.modules.get("matplotlib"), "rcParams")

    def get(self) -> dict[str, Any] | None:
        matplotlib = sys.modules["matplotlib"]
        # not by its own methods, which check each value, and choose a backend
        if not dict.__eq__(matplotlib.rcParams, self._seen):
            plain = dict.copy(matplotlib.rcParams)
            self._seen = {name: list(value) if type(value) is list else value for name, value in plain.items()}
            default = dict.copy(matplotlib.rcParamsDefault)
            self._changed = {
                name: value
                for name, value in self._seen.items()
                if name not in OF_THE_HOST and not name.startswith("_") and value != default.get(name, UNKNOWN)
            }
        return self._changed or None

    def set(self, value: Mapping[str, Any] | None) -> None:
        wanted = self._start if value is None else value
        if wanted is None and not self.available():
            return
        matplotlib = importlib.import_module("matplotlib")
        default = dict.copy(matplotlib.rcParamsDefault)
        here = dict.copy(matplotlib.rcParams)
        for name in here:
            target = (wanted or {}).get(name, default.get(name, UNKNOWN))
            if name not in OF_THE_HOST and not name.startswith("_") and target is not UNKNOWN and here[name] != target:
                dict.__setitem__(matplotlib.rcParams, name, target)


class PandasOptions:
    """What of pandas' options is not its default."""

    name = "pandas' options"

    def __init__(self) -> None:
        self._seen: Any = None
        self._changed: dict[str, Any] = {}
        self._start = self.get() if self.available() else None

    def available(self) -> bool:
        return hasattr(sys.modules.get("pandas._config.config"), "_registered_options")

    def get(self) -> dict[str, Any] | None:
        config = sys.modules["pandas._config.config"]
        if config._global_config != self._seen:
            self._seen = copy.deepcopy(config._global_config)
            self._changed = {name: value for name, value, default in _options(config) if value != default}
        return self._changed or None

    def set(self, value: Mapping[str, Any] | None) -> None:
        wanted = self._start if value is None else value
        if wanted is None and not self.available():
            return
        importlib.import_module("pandas")
        config = sys.modules["pandas._config.config"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options that a newer version will not have
            for name, here, default in list(_options(config)):
                target = (wanted or {}).get(name, default)
                if here != target:
                    config.set_option(name, target)


def _options(config: Any) -> list[tuple[str, Any, Any]]:
    found = []
    for name, registered in config._registered_options.items():
        holder = config._global_config
        *groups, last = name.split(".")
        for group in groups:
            holder = holder[group]
        found.append((name, holder[last], registered.defval))
    return found
