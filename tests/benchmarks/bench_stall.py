"""How long training stands still for a snapshot, against a plain copy of the same bytes, within one run.

    python tests/benchmarks/bench_stall.py [full] [lora] [buffers]

`full`: a model of 60 M parameters with AdamW. `lora`: PEFT, rank 4, with AdamW. Each is trained in a real
`%%checkpointed` cell, with DataLoader, scheduler and lists of losses, once for each way of overlapping. The stall is
that of the whole safe point, the join before the next step included. The floor is a copy of all that a snapshot's
buffers hold into memory that was written before. `buffers`: 4 MB in 256 tensors, copied without anything else.
Processor time is the process's while a snapshot is taken and committed and nothing else is done. The working folder,
which every snapshot looks through, is empty.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["COLAB_GUARD_HOME"] = tempfile.mkdtemp()

import torch
from IPython.core.interactiveshell import InteractiveShell

from colab_guard import state, store
from colab_guard.events import Event, SnapshotNotTaken, SnapshotSaved, WorkEnded
from colab_guard.session import current
from colab_guard.snapshots import Engine, schedule
from colab_guard.state.blocks import Blocks
from colab_guard.state.settling import settle
from colab_guard.state.split import Split
from colab_guard.state.staging import Staging

FULL = """
import torch
torch.manual_seed(0); torch.set_num_threads(1)
layer = torch.nn.TransformerEncoderLayer(768, 12, 3072, batch_first=True, dropout=0.0)
model = torch.nn.Sequential(torch.nn.Embedding(8000, 768), torch.nn.TransformerEncoder(layer, 7, enable_nested_tensor=False), torch.nn.Linear(768, 8000))
data = torch.utils.data.TensorDataset(torch.randint(0, 8000, (4096, 16)), torch.randint(0, 8000, (4096, 16)))
trainable = list(model.parameters())
def loss_of(batch):
    ids, wanted = batch
    return torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), wanted.flatten())
"""
LORA = """
import peft, torch, transformers
torch.manual_seed(0); torch.set_num_threads(1)
config = transformers.BertConfig(vocab_size=5000, hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=1024)
model = peft.get_peft_model(transformers.BertForSequenceClassification(config), peft.LoraConfig(r=4, target_modules="all-linear"))
data = torch.utils.data.TensorDataset(torch.randint(0, 5000, (4096, 64)), torch.randint(0, 2, (4096,)))
trainable = [p for p in model.parameters() if p.requires_grad]
def loss_of(batch):
    ids, labels = batch
    return model(input_ids=ids, labels=labels).loss
"""
REST = """
optimizer = torch.optim.AdamW(trainable, lr=1e-4)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 100)
loader = torch.utils.data.DataLoader(data, batch_size={batch}, shuffle=True)
losses, rates = [], []
import itertools
"""
CELL = """
for number, batch in enumerate(itertools.islice(loader, {steps})):
    loss = loss_of(batch)
    loss.backward()
    optimizer.step()
    scheduler.step()
    optimizer.zero_grad()
    losses.append(loss.item())
    rates.append(scheduler.get_last_lr()[0])
"""
CASES = {"full": (FULL, 2, 16, "0.1s"), "lora": (LORA, 4, 100, "0.1s")}
"""Setup, batch, steps, and how often a snapshot is taken."""
WAYS = ("params", "full")


def smallest_and_median(times: list[float]) -> str:
    return f"{min(times) * 1e3:7.2f} / {statistics.median(times) * 1e3:7.2f} ms" if times else "none"


def copies(times: list[float], floor: float) -> str:
    return f"{min(times) / floor:.2f} / {statistics.median(times) / floor:.2f} floors" if times else ""


class Bench:
    """A shell with the extension; what snapshots cost is heard from its events."""

    def __init__(self) -> None:
        self.shell = InteractiveShell.instance()
        self.shell.run_line_magic("load_ext", "colab_guard")
        self.session = current(self.shell)
        self.session.panel_factory = None
        self.saved: list[SnapshotSaved] = []
        self.refused: list[str] = []
        self.shares: list[float] = []
        self.session.bus.subscribe(self._hear)

    def _hear(self, event: Event, at: float) -> None:
        if isinstance(event, SnapshotSaved):
            self.saved.append(event)
        if isinstance(event, SnapshotNotTaken):
            self.refused.append(event.reason)
        if isinstance(event, WorkEnded):
            self.shares.append(event.guard_share)

    def run(self, case: str) -> None:
        setup, batch, steps, every = CASES[case]
        self.shell.run_cell(setup + REST.format(batch=batch), silent=True)
        for way in WAYS:
            TAKEN.clear()
            self.saved.clear()
            self.refused.clear()
            options = f"{case}_{way} --every {every} --budget 90% --overlap {way}"
            self.shell.run_cell_magic("checkpointed", options, CELL.format(steps=steps).lstrip())
            self.session.bus.flush()
            stalls = [event.stall_s for event in self.saved if event.kind == "step"][1:]
            written = [event.bytes_new for event in self.saved if event.kind == "step"][1:]
            floor = floor_of(self.saved[-1].bytes_total)
            print(
                f"{case:5} {way:7} {self.saved[-1].bytes_total / 1e6:6.1f} MB  floor {floor * 1e3:6.2f} ms  safe point "
                f"{smallest_and_median(stalls)} = {copies(stalls, floor)} (min / median of {len(stalls)}); "
                f"processor time of it {smallest_and_median(TAKEN[2:-1])} = {copies(TAKEN[2:-1], floor)}; "
                f"{statistics.median(written or [0]) / 1e6:.2f} MB new; {len(self.refused)} given up"
            )
            self.commits(case, way)

    def commits(self, case: str, way: Any) -> None:
        """Snapshots without training: processor time, and memory of ours."""
        names = {name: self.shell.user_ns[name] for name in ("model", "optimizer", "scheduler", "losses", "rates")}
        split, live = Split(), state.Live(self.shell.user_ns, {})
        opened = store.Store.open(Path(tempfile.mkdtemp()), store.Identity("bench", ""))
        times, stalls, floor = [], [], 0.0
        parameters = [p for p in names["model"].parameters() if p.requires_grad]
        for number in range(6):
            for parameter in parameters:
                parameter.grad = torch.full_like(parameter, 1e-3)
            names["optimizer"].step()
            names["optimizer"].zero_grad()
            began, here = time.process_time(), time.thread_time()
            captured = state.capture({"names": names}, {"names": {}}, live, split, way, shares=False)
            stall = time.thread_time() - here
            if captured.overlap is not None:
                beside = threading.Thread(target=captured.overlap.work_beside)
                beside.start()
                beside.join()
                here = time.thread_time()
                captured.overlap.join()
                stall += time.thread_time() - here
            opened.commit(store.CommitDraft("step", {"text": str(number), "depth": 1}, captured.parts, captured.buffers))
            if number > 1:
                times.append(time.process_time() - began)
                stalls.append(stall)
            floor = floor_of(split.staging.nbytes)
            size = sum(len(buffer.data) for buffer in captured.buffers)
        print(
            f"{'':13} without training: floor {floor * 1e3:.2f} ms; processor time of the safe point {smallest_and_median(stalls)} = "
            f"{copies(stalls, floor)}, of the whole commit {smallest_and_median(times)} = {copies(times, floor)}; memory for staging {split.staging.nbytes / size:.3f} x state"
        )
        opened.close()


TAKEN: list[float] = []
"""Processor time of the safe points of the cell that ran last, where a snapshot was taken there."""


def timed_takes() -> None:
    plain = Engine.take

    def take(*arguments: Any, **named: Any) -> bool:
        began = time.thread_time()
        try:
            return plain(*arguments, **named)
        finally:
            TAKEN.append(time.thread_time() - began)

    Engine.take = take  # type: ignore[method-assign]


def floor_of(nbytes: int) -> float:
    """Processor time of a copy of so much into memory that was written before, by one thread: the best of some."""
    torch.set_num_threads(1)
    source, target = torch.ones(nbytes, dtype=torch.uint8), torch.ones(nbytes, dtype=torch.uint8)
    times = []
    for _ in range(7):
        began = time.thread_time()
        target.copy_(source)
        times.append(time.thread_time() - began)
    return min(times)


def buffers() -> None:
    """4 MB in 256 tensors: what copying them costs, without any walk."""
    tensors = [torch.randn(5120) for _ in range(192)] + [torch.ones(()) for _ in range(64)]
    staging, times = Staging(), []
    for _ in range(50):
        blocks = Blocks()
        for tensor in tensors:
            tensor.add_(1)
            storage = tensor.untyped_storage()
            blocks.at("cpu", storage.data_ptr(), storage.nbytes(), storage, torch=True, tensor=tensor).describe("", "float32", (5120,), (1,))
        began = time.perf_counter()
        settle(blocks, staging)
        times.append(time.perf_counter() - began)
    size = sum(tensor.nbytes for tensor in tensors)
    print(f"buffers: {size / 1e6:.2f} MB in {len(tensors)} tensors: {smallest_and_median(times)}; floor {floor_of(size) * 1e3:.2f} ms")


def main() -> None:
    words = sys.argv[1:] or ["buffers", "lora", "full"]
    if "buffers" in words:
        buffers()
    schedule.COST_FACTOR = 0.0  # as often as asked for
    os.chdir(tempfile.mkdtemp())
    timed_takes()
    bench = Bench()
    for case in CASES:
        if case in words:
            bench.run(case)


if __name__ == "__main__":
    main()
