"""All states of a scenario, judged; and what they are without one kind of fsync."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.store.crashes.judge import wrong
from tests.store.crashes.record import Sync, SyncFolder
from tests.store.crashes.scenarios import SCENARIOS, Recording, record
from tests.store.crashes.states import Image, states

WRITES_EVERY = 10
"""One state in so many is also opened for writing."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A state in which something is lost: of which scenario, after how many operations, and what."""

    scenario: str
    after: int
    what: str
    files: tuple[str, ...]


def recordings(folder: Path) -> list[Recording]:
    return [record(scenario, folder / "recorded") for scenario in SCENARIOS]


def losses(recording: Recording, images: Sequence[Image], folder: Path) -> Iterator[Loss]:
    for number, image in enumerate(images):
        said = wrong(recording, image, folder / "found", write=number % WRITES_EVERY == 0)
        if said:
            yield Loss(recording.name, image.after, said, tuple(sorted(image.files)))


def kinds_of_sync(recording: Recording) -> list[str]:
    """What is fsynced: each kind of file, and each folder."""
    return sorted({operation.kind for operation in recording.operations if isinstance(operation, (Sync, SyncFolder))})


def left_out(recording: Recording, kind: str) -> Recording:
    """The recording as it had been, did the store leave out the fsync of one kind of file or folder."""
    left = [op for op in recording.operations if not (isinstance(op, (Sync, SyncFolder)) and op.kind == kind)]
    return replace(recording, operations=left)


def first_loss(recording: Recording, folder: Path) -> Loss | None:
    return next(losses(recording, list(states(recording.operations)), folder), None)
