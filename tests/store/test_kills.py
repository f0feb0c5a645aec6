"""What was reported saved or durable outlives a real SIGKILL at any moment; see `tests.store.kills`."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from colab_guard.store import records
from tests.store.kills.child import PHASES
from tests.store.kills.life import lives, memory_folder

pytestmark = pytest.mark.flaky(reruns=0)
"""A loss that was seen once is a loss: CI runs other tests that fail once more."""

COUNT = 60


def test_no_kill_at_any_moment_costs_what_was_reported_saved_or_durable() -> None:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        tally = lives(Path(folder), COUNT, seed=7)
    assert tally.losses == []
    assert all(tally.kills[phase] >= COUNT // len(PHASES) // 2 for phase in PHASES), tally.kills
    assert tally.from_mirror > 10 and tally.commits > 30


def test_a_store_that_says_saved_too_early_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = records.write_whole, itertools.count()

    def forgetful(path: Path, pieces: Iterable[bytes]) -> None:
        if next(calls) % 2 == 0:
            real(path, pieces)

    monkeypatch.setattr(records, "write_whole", forgetful)
    assert any(" reported " in loss for loss in lives(tmp_path, 20, seed=7).losses)
