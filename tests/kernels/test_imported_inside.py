"""A Trainer that is imported by the guarded cell itself is resumed inside all the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kernels.harness import Machine

pytest.importorskip("transformers")
SETUP = """
%load_ext colab_guard
import os, time
import torch
import transformers as tf
torch.set_num_threads(1)
def note(line):
    with open(os.environ["SIDE"], "a") as side:
        side.write(line + "\\n")
from colab_guard.session import current
current().bus.subscribe(lambda event, at: note(f"{type(event).__name__} {getattr(event, 'position', '')}"))
"""
IMPORTS = {"by attribute": "Trainer = tf.Trainer", "by statement": "from transformers import Trainer"}
CELL = """%%checkpointed inside --every 0.1s --budget 90%
IMPORT
class Steps(tf.TrainerCallback):
    def on_step_end(self, args, state, control, **more):
        note(f"step {state.global_step}")
        time.sleep(0.05)
torch.manual_seed(0)
items = [{"pixel_values": torch.randn(1, 8, 8), "labels": torch.tensor(n % 10)} for n in range(32)]
config = tf.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=8,
                      patch_size=4, num_channels=1, num_labels=10)
arguments = tf.TrainingArguments("out", num_train_epochs=5, per_device_train_batch_size=4, report_to=[], use_cpu=True,
                                 save_strategy="no", disable_tqdm=True)
trainer = Trainer(model=tf.ViTForImageClassification(config), args=arguments, train_dataset=items, callbacks=[Steps()])
trainer.train()
print("RESULT", trainer.state.global_step)
"""


@pytest.mark.parametrize("how", IMPORTS)
def test_the_library_is_imported_by_the_cell(tmp_path: Path, how: str) -> None:
    machine = Machine(tmp_path)
    cell = CELL.replace("IMPORT", IMPORTS[how])
    with machine.kernel() as kernel:
        kernel.run(SETUP)
        assert kernel.run(cell, kill_when=lambda: saved_inside(machine)).died
    steps = sum(line.startswith("step ") for line in machine.lines())
    with machine.kernel() as kernel:
        kernel.run(SETUP)
        done = kernel.run(cell)
    assert "RESULT 40" in done.text, done
    (resumed,) = [line for line in machine.lines() if line.startswith("Resumed")]
    assert "step" in resumed, "the Trainer began again"
    assert len([line for line in machine.lines() if line.startswith("step ")]) < 40 + steps


def saved_inside(machine: Machine) -> bool:
    return any(re.match(r"SnapshotSaved .*step [1-9]", line) for line in machine.lines())
