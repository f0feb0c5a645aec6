"""For all tests: what earlier ones left behind in this process costs later ones no time."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def what_was_there_before_is_not_looked_through() -> Iterator[None]:
    """Who holds a function or a tensor is looked for among all objects, and libraries and earlier tests leave millions."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
