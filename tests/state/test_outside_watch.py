"""The comparison of used libraries: what matters is named, what libraries do for themselves is not."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from colab_guard.state.outside.modules import LocalModules
from colab_guard.state.outside.watch import Watch

LIBRARY = """
registry = {}
verbose = False
seed = 0
_seed = 0
_table_cache = {}
_lazy = None
_hits_count = 0
class Model:
    default_width = 3
    def forward(self):
        return 1
class _Registry:
    def __init__(self):
        self.entries = []
REGISTRY = _Registry()
def register(name, value):
    registry[name] = value
"""


@pytest.fixture
def somelib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A library that is installed, and that nobody has an adapter for."""
    folder = tmp_path / "site-packages" / "somelib"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(LIBRARY)
    (folder / "inner.py").write_text("limit = 3\n")
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    import somelib.inner  # type: ignore[import-not-found]

    yield somelib
    for name in ("somelib", "somelib.inner"):
        del sys.modules[name]


def mine(self: Any) -> int:
    return 2


mine.__module__ = "__main__"


def changed(watch: Watch) -> list[str]:
    return [change.path for change in watch.changes(now=True)]


def test_what_the_cell_changed_in_a_library_is_named(somelib: Any) -> None:
    watch = Watch(["somelib"], {"somelib": somelib})
    assert changed(watch) == []
    somelib.register("a", 1)
    somelib._seed = 4
    somelib.inner.limit = 9
    somelib.Model.forward = mine
    somelib.Model.default_width = 8
    somelib.REGISTRY.entries.append(1)
    assert sorted(changed(watch)) == [
        "somelib.Model.default_width",
        "somelib.Model.forward",
        "somelib.REGISTRY",
        "somelib._seed",
        "somelib.inner.limit",
        "somelib.registry",
    ]


def test_caches_counters_and_what_is_filled_in_late_are_not_named(somelib: Any) -> None:
    watch = Watch(["somelib"], {"somelib": somelib})
    somelib._table_cache["x"] = 1
    somelib._lazy = object()
    somelib._hits_count += 1
    somelib.later = types.ModuleType("somelib.later")
    somelib.__warningregistry__ = {}
    assert changed(watch) == []


def test_a_library_that_the_cell_does_not_name_is_not_looked_at(somelib: Any) -> None:
    watch = Watch(["other"], {"somelib": somelib})
    somelib.register("a", 1)
    assert changed(watch) == []


def test_a_library_is_found_by_a_function_or_an_object_of_it(somelib: Any) -> None:
    for value in (somelib.register, somelib.Model(), somelib.Model):
        watch = Watch(["thing"], {"thing": value})
        somelib.register(id(value), 1)
        assert changed(watch) == ["somelib.registry"]


def test_methods_of_large_libraries_that_the_code_replaces_are_named() -> None:
    import json

    kept = json.JSONEncoder.default
    watch = Watch(["json", "JSONEncoder", "default"], {"json": json})
    json.JSONEncoder.default = mine  # type: ignore[method-assign,assignment]
    try:
        assert changed(watch) == ["json.encoder.JSONEncoder.default"]
    finally:
        json.JSONEncoder.default = kept  # type: ignore[method-assign]


def test_modules_beside_the_notebook_are_compared_in_everything_that_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_me.py").write_text("import collections\nstep = 0\nmodel = collections.namedtuple('M', 'x')(1)\nclass A:\n    count = 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    import beside_me  # type: ignore[import-not-found]

    modules = LocalModules()
    watch = Watch([], {}, modules.covers)
    try:
        beside_me.step = 4
        beside_me.model = beside_me.model._replace(x=3)
        beside_me.A.count = 1
        assert sorted(changed(watch)) == ["beside_me.A.count", "beside_me.model"]
    finally:
        del sys.modules["beside_me"]


def test_looking_is_bounded_in_time(somelib: Any) -> None:
    watch = Watch(["somelib"], {"somelib": somelib})
    assert watch.changes() == []
    somelib.register("a", 1)
    assert watch.changes() == [], "the next look is due after a while"
    assert [change.path for change in watch.changes(now=True)] == ["somelib.registry"]
