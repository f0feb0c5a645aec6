"""Bits that turn over anywhere are noticed; `python -m tests.store.flips` tries many more places."""

from __future__ import annotations

import pytest

from tests.store.flips import run, table

pytestmark = pytest.mark.flaky(reruns=0)
"""A loss that was seen once is a loss: CI runs other tests that fail once more."""


@pytest.mark.parametrize("key", ["", "a key of the user's"], ids=["unsigned", "signed"])
def test_every_damage_is_noticed_and_never_another_value(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_KEY", key)
    tallies = run(places=24, seed=3)
    bad = [what for tally in tallies.values() for what in [*tally.unnoticed, *tally.wrong]]
    assert bad == [], "\n".join(table(tallies))
