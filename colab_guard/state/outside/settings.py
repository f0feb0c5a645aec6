"""Switches of Python and of libraries: small values that are read and set by one call each.

Most are kept whatever their value, since a cell before the guarded one may have set them and need not run again. Those
that differ from host to host by themselves (`of_host`) are kept only once the cell has changed them.
"""

from __future__ import annotations

import decimal
import gc
import importlib
import locale
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colab_guard.state.outside.adapters import UNKNOWN
from colab_guard.state.things import CannotKeep


@dataclass(frozen=True, slots=True)
class Setting:
    """One switch of `module`: `read(module)` and `write(module, value)`."""

    label: str
    module: str
    read: Callable[[Any], Any]
    write: Callable[[Any, Any], object]
    of_host: bool = False


PYTHON = (
    Setting("the decimal context", "decimal", lambda m: m.getcontext(), lambda m, v: m.setcontext(v)),
    Setting("the recursion limit", "sys", lambda m: m.getrecursionlimit(), lambda m, v: m.setrecursionlimit(v), True),
    Setting("the switch interval", "sys", lambda m: m.getswitchinterval(), lambda m, v: m.setswitchinterval(v), True),
    Setting("the longest int as text", "sys", lambda m: m.get_int_max_str_digits(), lambda m, v: m.set_int_max_str_digits(v), True),
    Setting("garbage collection", "gc", lambda m: (m.isenabled(), m.get_threshold()), lambda m, v: _set_gc(*v), True),
    Setting("the locale", "locale", lambda m: m.setlocale(m.LC_ALL), lambda m, v: _set_locale(v), True),
    Setting("sys.stdout", "sys", lambda m: m.stdout, lambda m, v: setattr(m, "stdout", v), True),
    Setting("sys.stderr", "sys", lambda m: m.stderr, lambda m, v: setattr(m, "stderr", v), True),
    Setting("logging.disable", "logging", lambda m: m.root.manager.disable, lambda m, v: m.disable(v)),
)

NUMPY = (
    Setting("numpy.seterr", "numpy", lambda m: m.geterr(), lambda m, v: m.seterr(**v)),
    Setting("numpy.seterrcall", "numpy", lambda m: m.geterrcall(), lambda m, v: m.seterrcall(v)),
    Setting("numpy.set_printoptions", "numpy", lambda m: m.get_printoptions(), lambda m, v: _set_numpy_printing(m, v)),
)

LIBRARIES = (
    Setting(
        "sklearn.set_config",
        "sklearn",
        lambda m: _from_default(m._config),
        lambda m, v: m.set_config(**(m._config._global_config | v)),
    ),
    Setting(
        "transformers' progress bars",
        "transformers.utils.logging",
        lambda m: m.is_progress_bar_enabled(),
        lambda m, v: m.enable_progress_bar() if v else m.disable_progress_bar(),
        True,
    ),
    Setting(
        "datasets' progress bars",
        "datasets.utils",
        lambda m: m.are_progress_bars_disabled(),
        lambda m, v: m.disable_progress_bars() if v else m.enable_progress_bars(),
        True,
    ),
    Setting(
        "datasets' caching",
        "datasets.fingerprint",
        lambda m: m.is_caching_enabled(),
        lambda m, v: m.enable_caching() if v else m.disable_caching(),
        True,
    ),
)


class Settings:
    """The switches of all libraries that are imported, as one table by label."""

    name = "settings"

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._settings = settings
        self._carried: set[str] = set()
        self._start: dict[str, Any] = self._read()

    def available(self) -> bool:
        return True

    def get(self) -> dict[str, Any] | None:
        found = self._read()
        for setting in self._settings:
            label = setting.label
            if setting.of_host and label in found and label not in self._carried and found[label] == self._start.get(label, UNKNOWN):
                del found[label]
        return found

    def set(self, value: Mapping[str, Any] | None) -> None:
        here = self._read()
        wanted = self._start | dict(value or {})
        self._carried |= set(value or ())
        failed = []
        for setting in self._settings:
            label = setting.label
            if label not in wanted or (label in here and _same(here[label], wanted[label])):
                continue
            if not _is_loadable(setting.module):
                continue  # the library is not installed: whatever needs it will say so
            try:
                setting.write(sys.modules[setting.module], wanted[label])
            except Exception as error:  # of this version's own kind; the others are put back nevertheless
                failed.append(f"{label} ({error})")
        if failed:
            raise CannotKeep("; ".join(failed))

    def _read(self) -> dict[str, Any]:
        found = {}
        for setting in self._settings:
            module = sys.modules.get(setting.module)
            if module is None:
                continue
            try:
                found[setting.label] = setting.read(module)
            except (AttributeError, RuntimeError):
                # this version has no such switch; or torch's old switches after its new ones were used, which are read beside
                continue
        return found


def _same(one: Any, other: Any) -> bool:
    return one is other if isinstance(one, decimal.Context) else bool(one == other)


def _is_loadable(module: str) -> bool:
    if module not in sys.modules:
        try:
            importlib.import_module(module)
        except ImportError:
            return False
    return True


def _set_gc(enabled: bool, threshold: tuple[int, int, int]) -> None:
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*threshold)


def _set_locale(wanted: str) -> None:
    locale.setlocale(locale.LC_ALL, wanted)


def _set_numpy_printing(numpy: Any, wanted: dict[str, Any]) -> None:
    known = numpy.get_printoptions().keys()
    numpy.set_printoptions(**{name: value for name, value in wanted.items() if name in known})


def _from_default(config: Any) -> dict[str, Any]:
    """What of scikit-learn's configuration is not its default."""
    return {name: value for name, value in config.get_config().items() if value != config._global_config.get(name)}


