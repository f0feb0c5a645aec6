"""Which safe points a test's cell passes must not depend on how fast the machine is."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from colab_guard.cells import short


@pytest.fixture(autouse=True)
def no_loop_runs_bare_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short, "SHORT_RUNS", 1 << 30)


@pytest.fixture(autouse=True, scope="module")
def what_was_imported_before_is_not_looked_through() -> Iterator[None]:
    """At the end of each cell those who hold its functions are looked for among all objects, and a test runs a cell 20 times."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
