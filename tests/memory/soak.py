"""A sweep whose body leaks in every way that notebooks know, in a real kernel: memory stays flat from model to model.

    python -m tests.memory.soak --runs 39

Each run makes a model that holds itself, shows something that holds it (`Out[]`), puts an error by whose frames hold
activations, and every fifth run fails with a chained error. Prints host RAM of the kernel at the beginning of each run.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from tests.kernels.harness import Machine

MIB = 2**20
SETUP = """
%load_ext colab_guard
import psutil, torch
from colab_guard import Sweep, grid
from colab_guard.events import MemoryReclaimed
from colab_guard.session import current
torch.set_num_threads(1)
class Shown:
    def __init__(self, what):
        self.what = what
    def __repr__(self):
        return "shown"
def evaluate(model):
    activations = [torch.ones(1024, 1024) for _ in range(WIDTH)]
    raise ValueError(f"no metric for {len(activations)} batches")
def fail(model, cause):
    workspace = torch.ones(WIDTH, 1024, 1024)
    raise RuntimeError("this model does not fit") from cause
heard = []
current().bus.subscribe(lambda event, at: heard.append(event), MemoryReclaimed)
"""
CELL = """%%checkpointed soak --every 60s
errors = []
for run in sweep:
    run.log(rss=psutil.Process().memory_info().rss)
    print("RSS", run.index + 1, run.metrics["rss"])
    model = torch.nn.Sequential(*[torch.nn.Linear(1024, 1024) for _ in range(WIDTH)])
    model.me = [model]
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(2):
        loss = model(torch.randn(8, 1024)).pow(2).mean()
        loss.backward()
        optimizer.step()
    get_ipython().displayhook(Shown(model))
    try:
        evaluate(model)
    except ValueError as error:
        errors.append(error)
    if run.index % 5 == 4:
        fail(model, errors[-1])
print("AFTER", len(errors), sum(run.status == "failed" for run in sweep.runs))
"""


def soak(runs: int, width: int = 4, folder: Path | None = None, *, clear: bool = True) -> list[int]:
    """Bytes of host RAM at the beginning of each run; `width`: a model of so many times 4 MiB, without clearing 50 MiB and more a run."""
    with tempfile.TemporaryDirectory() as made:
        with Machine(folder or Path(made)).kernel() as kernel:
            for cell in (SETUP, f'sweep = Sweep("soak", grid(seed=range({runs})), clear={clear})'):
                done = kernel.run(cell.replace("WIDTH", str(width)))
                assert not done.error, done.error
            done = kernel.run(CELL.replace("WIDTH", str(width)), limit_s=1800)
            assert not done.error, done.error
            assert f"AFTER {runs} {runs // 5}" in done.text, done.text
            return [int(found) for found in re.findall(r"^RSS \d+ (\d+)$", done.text, re.M)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=39)
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--without", action="store_true", help="for comparison: the sweep does not clear")
    given = parser.parse_args()
    found = soak(given.runs, given.width, clear=not given.without)
    print(" ".join(f"{rss / MIB:.0f}" for rss in found), "MiB")
    share = found[-1] / found[1] - 1
    print(f"run {len(found)} against run 2: {share:+.1%}; most: {max(found[1:]) / found[1] - 1:+.1%}")
    return 0 if abs(share) <= 0.05 else 1


if __name__ == "__main__":
    sys.exit(main())
