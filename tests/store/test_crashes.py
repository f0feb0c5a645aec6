"""After a power loss at any moment, a store opens to the newest commit that was reported saved; see `tests.store.crashes`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.store.crashes.enumerate import first_loss, kinds_of_sync, left_out, losses, recordings
from tests.store.crashes.record import Recorder
from tests.store.crashes.scenarios import SCENARIOS, Recording, record
from tests.store.crashes.states import states, whole

pytestmark = pytest.mark.flaky(reruns=0)
"""A loss that was seen once is a loss: CI runs other tests that fail once more."""


@pytest.fixture(params=SCENARIOS, ids=[scenario.__name__ for scenario in SCENARIOS])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    return record(request.param, tmp_path / "recorded")


def test_the_recording_is_all_that_happened(recording: Recording, tmp_path: Path) -> None:
    root = tmp_path / "recorded" / recording.name
    there = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    image = whole(recording.operations)
    assert image.files == there
    assert image.folders == {str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir()}


def test_nothing_that_was_reported_saved_is_lost_in_any_state(recording: Recording, tmp_path: Path) -> None:
    images = list(states(recording.operations))
    assert len(images) > 150
    assert list(losses(recording, images, tmp_path)) == []


def test_without_any_one_kind_of_fsync_something_is_lost(tmp_path: Path) -> None:
    recorded = recordings(tmp_path)
    kinds = {kind for recording in recorded for kind in kinds_of_sync(recording)}
    assert kinds == {
        *(f"file store/{part}" for part in ("FORMAT", "commits/*", "leases/*", "packs/*")),
        *(f"folder {folder}" for folder in (".", "store", "store/commits", "store/leases", "store/packs")),
    }
    # the scenario in which leases count most comes first
    missed = {kind for kind in kinds if not any(first_loss(left_out(r, kind), tmp_path) for r in reversed(recorded))}
    assert missed == set()


def test_a_file_that_is_written_in_its_place_is_noticed(tmp_path: Path) -> None:
    with Recorder(tmp_path).recording():
        os.close(os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT))
        with pytest.raises(AssertionError, match="written in its place"):
            os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
