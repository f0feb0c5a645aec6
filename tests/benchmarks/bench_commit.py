"""What snapshots cost a LoRA training loop: the same loop plain and under `%%checkpointed`, in one process, in turn.

    python tests/benchmarks/bench_commit.py

Prints the stall and the write per commit, and the ratio of the two loops' times.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["COLAB_GUARD_HOME"] = tempfile.mkdtemp()

from IPython.core.interactiveshell import InteractiveShell

from colab_guard.events import Event, SnapshotSaved
from colab_guard.session import current

SETUP = """
import peft, torch, transformers
torch.manual_seed(0); torch.set_num_threads(1)
config = transformers.BertConfig(vocab_size=5000, hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=1024)
model = peft.get_peft_model(transformers.BertForMaskedLM(config), peft.LoraConfig(r=8, target_modules="all-linear"))
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
ids = torch.randint(0, 5000, (4, 64))
"""
LOOP = """
for step in range(60):
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
"""
ROUNDS = 3


def main() -> None:
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "colab_guard")
    session = current(shell)
    session.panel_factory = None
    shell.run_cell(SETUP)
    saved: list[SnapshotSaved] = []

    def hear(event: Event, at: float) -> None:
        if isinstance(event, SnapshotSaved):
            saved.append(event)

    session.bus.subscribe(hear)
    ratios = []
    for number in range(ROUNDS):
        plain = timed(lambda: exec(LOOP, shell.user_ns))
        cell = LOOP.lstrip("\n")
        guarded = timed(lambda n=number, c=cell: shell.run_cell_magic("checkpointed", f"bench{n} --every 1s --budget 5%", c))
        ratios.append(guarded / plain)
    session.bus.flush()
    stalls = [event.stall_s * 1000 for event in saved]
    writes = [event.write_s * 1000 for event in saved]
    sizes = [event.bytes_new / 2**20 for event in saved]
    parameters = sum(p.numel() for p in shell.user_ns["model"].parameters() if p.requires_grad)
    print(f"{parameters:,} trainable parameters, {len(saved)} commits in {ROUNDS} rounds")
    print(f"stall {min(stalls):.0f} / {statistics.median(stalls):.0f} ms (min / median), write {statistics.median(writes):.0f} ms")
    print(f"new bytes per commit {statistics.median(sizes):.1f} MiB (median), first {sizes[0]:.1f} MiB")
    print(f"guarded / plain loop: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")


def timed(action) -> float:  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
