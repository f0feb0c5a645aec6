"""`python -m tests.benchmarks.bench_checkpoints`: see `tests.benchmarks.checkpoints`."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

MS = 1e3
ROUNDS = {"full": 2, "lora": 3}
COMMITS = 8
"""Of each cell, without its first; frozen weights are known as such from the fourth on."""


def compare(make: Callable[[], object], folder: Path, rounds: int) -> None:
    from tests.benchmarks.checkpoints.cases import Case
    from tests.benchmarks.checkpoints.guarded import WAYS as GUARDED
    from tests.benchmarks.checkpoints.guarded import Guarded
    from tests.benchmarks.checkpoints.timing import Sample, sample
    from tests.benchmarks.checkpoints.ways import WAYS

    case = make()
    assert isinstance(case, Case)
    guarded = Guarded(folder / "home")
    ways = [way(case, folder / way.__name__) for way in WAYS]
    found: dict[str, list[Sample]] = {}
    for _ in range(rounds):
        for way in ways:
            found.setdefault(way.name, []).append(sample(way.save, case.step, way.bytes))
        for name, options in GUARDED.items():
            found.setdefault(name, []).extend(guarded.samples(case, COMMITS, options))
            shutil.rmtree(folder / "home", ignore_errors=True)
    _table(case.name, case.bytes(), len(case.tensors()), found)


def _table(name: str, size: int, tensors: int, found: dict[str, list]) -> None:  # type: ignore[type-arg]
    floor = min(s.stall_s for s in found["copy into a reused buffer"])
    print(f"\n{name}: {size / 1e6:.2f} MB in {tensors} tensors; min / median of {len(found['colab_guard'])} to {max(map(len, found.values()))} saves")
    print(f"{'':28}{'stall ms':>17}{'× copy':>8}{'whole after ms':>16}{'CPU ms':>9}{'× copy':>8}{'steps beside':>14}{'bytes':>14}")
    for way, samples in found.items():
        stalls = [s.stall_s for s in samples]
        done, cpu, slower = (median(getattr(s, what) for s in samples) for what in ("done_s", "cpu_s", "slower"))
        written = f"{median(s.size for s in samples):14,.0f}" if "copy" not in way else f"{'-':>14}"
        print(
            f"{way:28}{min(stalls) * MS:8.1f}/{median(stalls) * MS:8.1f}{min(stalls) / floor:8.2f}{done * MS:16.0f}{cpu * MS:9.0f}"
            f"{cpu / floor:8.1f}{slower:13.2f}×{written}",
            flush=True,
        )


def main() -> None:
    import transformers

    from tests.benchmarks.checkpoints import cases, figures

    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore")
    for name in ("torch.distributed", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    words = sys.argv[1:] or ["full", "lora", "store"]
    began, before = time.perf_counter(), Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        os.chdir(folder / "work")  # every snapshot looks through the working folder
        for word, make in (("lora", cases.lora), ("full", cases.full)):
            if word in words:
                compare(make, folder / word, ROUNDS[word])
                shutil.rmtree(folder / word, ignore_errors=True)
        if "store" in words:
            figures.show(folder)
        os.chdir(before)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
