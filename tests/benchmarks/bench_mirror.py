"""What a mirror costs the training beside it: healthy, failing, and hanging for ever; against none, in one run.

    python -m tests.benchmarks.bench_mirror

Each round trains for some seconds (numpy, one core) and commits 8 MiB of changed state every half second, of which the
mirror is to send each; the four ways take turns. The figure is the time of the same steps over that without a mirror;
median of the rounds.
"""

from __future__ import annotations

import errno
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from colab_guard.store import BufferDraft, CommitDraft, FolderPlace, Identity, Mirror, Store
from colab_guard.store.faults import Faults, FaultyPlace
from colab_guard.workers import Workers

ROUNDS = 7
STEPS = 3000
COMMIT_EVERY_S = 0.5
STATE_BYTES = 8 * 2**20
WAYS = ("none", "healthy", "failing", "hanging")


def trained_s(way: str, root: Path) -> tuple[float, float, int]:
    """Seconds for the steps, the longest commit, and how many there were."""
    faults, workers = Faults(), Workers()
    store = Store.open(root / "local", Identity("bench", ""))
    mirror = None
    if way != "none":
        mirror = Mirror(store, FaultyPlace(FolderPlace(root / "far"), faults), workers=workers, every_s=COMMIT_EVERY_S)
    if way == "failing":
        faults.fail("*", errno.EIO)
    elif way == "hanging":
        faults.hang("*")
    state, weights = np.zeros(STATE_BYTES, np.uint8), np.random.default_rng(0).random((400, 400))
    ended, longest, number = threading.Event(), 0.0, 0

    def write() -> None:
        nonlocal longest, number
        while not ended.wait(COMMIT_EVERY_S):
            number += 1
            state[:] = number
            state[::4096] = np.random.default_rng(number).integers(0, 255, len(state[::4096]), np.uint8)
            began = time.perf_counter()
            store.commit(CommitDraft("step", {"text": str(number)}, {"graph": b"x"}, [BufferDraft("b", state.tobytes())]))
            longest = max(longest, time.perf_counter() - began)
            if mirror is not None:
                mirror.nudge()

    writer = threading.Thread(target=write)
    writer.start()
    began = time.perf_counter()
    for _ in range(STEPS):
        weights = np.tanh(weights @ weights.T / 400)
    took = time.perf_counter() - began
    ended.set()
    writer.join()
    faults.heal()
    if mirror is not None:
        mirror.close(5)
    store.close()
    workers.stop()
    return took, longest, number


def main() -> None:
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    longest: dict[str, float] = dict.fromkeys(WAYS, 0.0)
    commits: dict[str, int] = dict.fromkeys(WAYS, 0)
    with tempfile.TemporaryDirectory() as made:
        for number in range(ROUNDS):
            for way in WAYS[number % 4 :] + WAYS[: number % 4]:
                seconds, commit, number_of = trained_s(way, Path(made) / f"{way}-{number}")
                took[way].append(seconds)
                longest[way] = max(longest[way], commit)
                commits[way] += number_of
    for way in WAYS:
        ratios = [mine / plain for mine, plain in zip(took[way], took["none"], strict=True)]
        print(
            f"{way:8} {statistics.median(took[way]):6.2f} s  {statistics.median(ratios):.3f} x  {commits[way]} commits, the longest "
            f"{longest[way] * 1000:.0f} ms"
        )


if __name__ == "__main__":
    main()
