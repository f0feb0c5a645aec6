"""`%memguard --allow shorter` in real kernels, on every stack: it is what permits cutting sequences, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.harness import Machine, stacks

STACKS = stacks()
SETUP = """
%load_ext colab_guard
import colab_guard
import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
lengths = []

class Bounded(GPT2LMHeadModel):
    def forward(self, input_ids=None, attention_mask=None, labels=None, **more):
        if self.training:
            lengths.append(input_ids.shape[1])
            if input_ids.shape[1] > 90:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, labels=labels, **more)

def made():
    torch.manual_seed(1)
    return Bounded(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=160, use_cache=False,
                              bos_token_id=0, eos_token_id=0))

words = [{"input_ids": torch.full((160,), 1 + k % 9), "labels": torch.full((160,), 1 + k % 9)} for k in range(8)]
"""
LOOP = """
model, optimizer = made().train(), None
for micro in colab_guard.microbatches(torch.utils.data.default_collate(words), model):
    with micro as part:
        (model(**part).loss * micro.weight).backward()
sorted(set(lengths)), bool(torch.isfinite(model.transformer.wte.weight.grad).all())
"""
TRAINER = """%%checkpointed trained
model = made()
args = TrainingArguments(output_dir="out", per_device_train_batch_size=4, num_train_epochs=1, save_strategy="no", report_to="none",
                         use_cpu=True, disable_tqdm=True)
done = Trainer(model=model, args=args, train_dataset=words).train()
done.global_step, done.training_loss > 0
"""


@pytest.mark.parametrize("stack", STACKS)
def test_sequences_are_cut_once_the_user_has_allowed_it(tmp_path: Path, stack: str) -> None:
    with Machine(tmp_path, STACKS[stack]).kernel() as kernel:
        loaded = kernel.run(SETUP)
        if "No module named" in loaded.error:
            pytest.skip("this stack has no transformers")
        assert not loaded.error, loaded.error
        for cell in (LOOP, TRAINER.replace("trained", "refused", 1)):
            refused = kernel.run(cell)
            # IPython 7 shows no notes of errors itself
            assert "%memguard --allow shorter permits" in refused.error + refused.text, refused.error
        assert kernel.run("sorted(set(lengths))").value == "[160]"

        assert "Sequences may be cut" in kernel.run("%memguard 0.85 --allow shorter").text
        told = kernel.run(LOOP)
        assert told.value == "([80, 160], True)", told.error
        told = kernel.run(TRAINER)
        assert told.value == "(2, True)", told.error
        shown = kernel.run("del lengths[:]\n" + TRAINER.partition("\n")[2])
        assert not shown.value and "OutOfMemoryError" in shown.error, "a plain cell's Trainer is the user's own"
