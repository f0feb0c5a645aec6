"""The writer commits behind everything else, one state after another, and loses none to an interrupt."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from colab_guard.snapshots.committing import LOWEST_PRIORITY, Committing, Job, Outcome
from colab_guard.store import CommitDraft, CommitRecord
from colab_guard.workers import Workers


class Sink:
    """Notes the priority of the thread that commits; fails where told to."""

    not_removed = ""

    def __init__(self, fails_at: int | None = None) -> None:
        self.drafts: list[CommitDraft] = []
        self.priorities: list[int] = []
        self.fails_at = fails_at

    def commit(self, draft: CommitDraft) -> CommitRecord:
        if len(self.drafts) == self.fails_at:
            raise OSError(28, "No space left on device")
        self.drafts.append(draft)
        self.priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return CommitRecord("1-1-x", 1, len(self.drafts), draft.kind, 0.0, None, draft.position, {}, draft.unit, {})


def job(*texts: str, ready: bool = True) -> Job:
    return Job(tuple(CommitDraft("step", {"text": text}, {}, []) for text in texts), 0.0, 0.0, ready=ready)


def made(sink: Sink) -> tuple[Committing, list[Outcome]]:
    outcomes: list[Outcome] = []
    return Committing(sink, Workers(), time.monotonic, outcomes.append), outcomes


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_the_writer_runs_at_the_lowest_priority_and_training_at_its_own() -> None:
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    committing, _ = made(sink := Sink())
    committing.put(job("a"))
    committing.close()
    assert sink.priorities == [LOWEST_PRIORITY]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine


def test_the_outcome_of_a_job_that_fails_tells_how_far_it_came() -> None:
    committing, outcomes = made(Sink(fails_at=2))
    committing.put(job("a", "b", "c"))
    committing.wait()
    committing.close()
    [outcome] = outcomes
    assert isinstance(outcome.error, OSError) and outcome.written == 2 and outcome.record is not None


def test_what_was_held_and_is_not_whole_is_not_written_and_holds_nobody_up() -> None:
    committing, outcomes = made(sink := Sink())
    committing.hold(job("a", ready=False))
    assert committing.busy
    committing.wait()
    assert not committing.busy and committing.pending is None
    committing.close()
    assert not sink.drafts and not outcomes


def test_what_was_held_whole_when_an_interrupt_came_is_written_once() -> None:
    committing, outcomes = made(sink := Sink())
    committing.hold(whole := job("a"))
    committing.wait()
    committing.put(whole)
    committing.wait()
    committing.close()
    assert len(sink.drafts) == 1 and len(outcomes) == 1
