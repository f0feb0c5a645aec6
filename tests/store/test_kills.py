"""What was reported saved or durable outlives a real SIGKILL at any moment; see `tests.store.kills`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.store.kills.child import PHASES
from tests.store.kills.life import lives, memory_folder

COUNT = 60


def test_no_kill_at_any_moment_costs_what_was_reported_saved_or_durable() -> None:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        tally = lives(Path(folder), COUNT, seed=7)
    assert tally.losses == []
    assert all(tally.kills[phase] >= COUNT // len(PHASES) // 2 for phase in PHASES), tally.kills
    assert tally.from_mirror > 10 and tally.commits > 30
