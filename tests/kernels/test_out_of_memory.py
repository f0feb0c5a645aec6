"""After an out-of-memory error in a real kernel, on every stack, memory is back where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.harness import Machine, RunningKernel, stacks

STACKS = stacks()
SETUP = """
%load_ext colab_guard
import gc
import os
import psutil
import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from colab_guard.session import current
did = []
current().bus.subscribe(lambda event, at: did.append(event.did) if type(event).__name__ == "OutOfMemoryRecovered" else None)
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)

def mib():
    return psutil.Process().memory_info().rss // 2**20

def hold(size=300):
    return torch.ones(size * 2**18)

def full():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

def nested(depth):
    here = hold(100)
    return nested(depth - 1) if depth else (full(), here)

def chained():
    mine = hold()
    try:
        nested(1)
    except RuntimeError as error:
        raise ValueError("the model does not fit") from error

def for_real():
    mine = hold()
    return mine, torch.empty(2**48)

class Heavy(BertForSequenceClassification):
    when = staticmethod(lambda rows: True)
    size = 300
    def forward(self, input_ids=None, attention_mask=None, labels=None, **more):
        mine = hold(Heavy.size)
        if self.training and Heavy.when(len(input_ids)):
            full()
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, labels=labels, **more)

def trained():
    torch.manual_seed(1)
    model = Heavy(BertConfig(vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                             num_labels=3, max_position_embeddings=8))
    words = [{"input_ids": torch.full((6,), 5 + k % 9), "attention_mask": torch.ones(6, dtype=torch.long), "labels": k % 3}
             for k in range(32)]
    args = TrainingArguments(output_dir="out", per_device_train_batch_size=8, num_train_epochs=1, save_strategy="no",
                             report_to="none", use_cpu=True, disable_tqdm=True)
    trainer = Trainer(model=model, args=args, train_dataset=words)
    trainer.train()
    return trainer.state.global_step

def once(act):
    # where no snapshot brings it back
    with open(os.environ["SIDE"], "r+") as side:
        if not side.read():
            side.write("done")
            side.flush()
            act()

Heavy.when = staticmethod(lambda rows: False)
trained()
"""
WARM = """%%checkpointed warm
# what a first guarded cell loads, for snapshots and their writing, is not memory that is held
ones = torch.ones(4, requires_grad=True)
for step in range(6):
    (ones * step).sum().backward()
trained()
"""
WRONG = """
# showing a traceback that leads through a library keeps a picture of its source
Heavy.size, Heavy.when = 0, staticmethod(lambda rows: 1 / 0)
trained()
"""
BASELINE = """
Heavy.size = 300
current().bus.flush()
del did[:]
gc.collect()
before = mib()
"""
PLAIN = {"nested": "nested(2)", "chained": "chained()", "a real allocation": "for_real()"}
GUARDED = """%%checkpointed full
Heavy.when = staticmethod(lambda rows: rows > 2)
out = []
weight = torch.ones(4, requires_grad=True)
for step in range(6):
    (weight * step).sum().backward()
    if step == 3:
        once(chained)
    out.append(float(weight.grad[0]))
steps = trained()
(out, steps)
"""


@pytest.fixture(params=STACKS, ids=list(STACKS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, STACKS[request.param])


def above(kernel: RunningKernel) -> int:
    """MiB above the baseline."""
    told = kernel.run("mib() - before")
    assert not told.error, told.error
    return int(told.value)


def test_memory_is_back_after_errors_plain_nested_chained_and_in_a_trainer(machine: Machine) -> None:
    with machine.kernel() as kernel:
        loaded = kernel.run(SETUP)
        if "No module named" in loaded.error:
            pytest.skip("this stack has no transformers")
        assert not loaded.error, loaded.error
        warm = kernel.run(WARM)
        assert not warm.error, warm.error
        assert "ZeroDivisionError" in kernel.run(WRONG).error
        before = kernel.run(BASELINE)
        assert not before.error, before.error
        for what, cell in PLAIN.items():
            assert "Error" in kernel.run(cell).error
            assert above(kernel) < 64, what
        # never fits: the ladder ends, and the error is the allocator's own
        failed = kernel.run("Heavy.when = staticmethod(lambda rows: True)\ntrained()")
        assert "OutOfMemoryError" in failed.error
        assert above(kernel) < 64, "Trainer"

        done = kernel.run(GUARDED)
        assert not done.error, done.error
        assert done.value == "([0.0, 1.0, 3.0, 6.0, 10.0, 15.0], 4)"
        tried = kernel.run("current().bus.flush() and did").value
        assert tried.count("the same again") == 2 and "4 rows in each of 2 → 2 rows in each of 4" in tried, tried
        assert above(kernel) < 64, "a guarded cell"
