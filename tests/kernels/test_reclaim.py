"""After an out-of-memory error in a real kernel, memory is back where it was: nested, chained, in a Trainer, on each stack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels.harness import Machine, RunningKernel, pythons

STACKS = {name: path for name, path in pythons().items() if name in ("this", "colab311")}
MOST_OVER_MIB = 64
HELD_MIB = 400
SETUP = """
%load_ext colab_guard
import gc, psutil
import numpy as np
from colab_guard.session import current
current().after_error = lambda error: None  # which frees at once what an out-of-memory error holds
def rss():
    return psutil.Process().memory_info().rss / 2**20
def full():
    np.ones(2**58)  # the allocator's own error, for a real allocation
def train(depth):
    weights = [np.ones(2**17) for _ in range(100)]  # 100 MiB in each frame
    if depth == 0:
        full()
    train(depth - 1)
gc.collect()
base = rss()
"""
NESTED = "train(3)"
CHAINED = """
try:
    train(1)
except MemoryError as error:
    kept = error
    try:
        train(1)
    except MemoryError:
        raise RuntimeError("this model does not fit") from kept
"""
PUT_BY = """
errors, cycle = [], []
for seed in range(4):
    try:
        train(0)
    except MemoryError as error:
        errors.append(error)
"""
AFTER = """
gc.collect()
before = rss() - base
said = %guard clear
print("OVER", round(before), round(rss() - base))
"""
TRAINER_SETUP = """
import torch, transformers
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification
torch.set_num_threads(1)
class Digits(torch.utils.data.Dataset):
    def __len__(self):
        return 16
    def __getitem__(self, index):
        return {"pixel_values": torch.randn(1, 8, 8), "labels": index % 10}
class FullForImageClassification(ViTForImageClassification):
    seen = 0
    def forward(self, pixel_values, labels=None):
        out = super().forward(pixel_values=pixel_values, labels=labels)
        FullForImageClassification.seen += 1
        if FullForImageClassification.seen == 3:
            try:
                torch.empty(2**58)
            except RuntimeError as error:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB") from error
        return out
def made(size):
    config = ViTConfig(hidden_size=size, num_hidden_layers=2, num_attention_heads=2, intermediate_size=4 * size, image_size=8,
                       patch_size=4, num_channels=1, num_labels=10)
    arguments = TrainingArguments("out", per_device_train_batch_size=2, max_steps=6, report_to=[], use_cpu=True,
                                  save_strategy="no", disable_tqdm=True)
    return Trainer(model=FullForImageClassification(config), args=arguments, train_dataset=Digits())
def fit(size):
    trainer = made(size)
    trainer.train()
FullForImageClassification.seen = 10
fit(16)  # what the libraries load and keep is no model's
FullForImageClassification.seen = 0
gc.collect()
base = rss()
"""


@pytest.fixture(scope="module", params=STACKS, ids=list(STACKS))
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKernel]:
    with Machine(tmp_path_factory.mktemp("reclaim"), STACKS[request.param]).kernel() as running:
        done = running.run(SETUP)
        assert not done.error, done.error
        yield running


def over(kernel: RunningKernel) -> tuple[int, int]:
    """MiB above the baseline before clearing (garbage already collected), and after."""
    done = kernel.run(AFTER)
    assert not done.error, done.error
    found = re.search(r"OVER (-?\d+) (-?\d+)", done.text)
    assert found is not None, done.text
    return int(found[1]), int(found[2])


@pytest.mark.parametrize(("cell", "name"), [(NESTED, "MemoryError"), (CHAINED, "RuntimeError")], ids=["nested", "chained"])
def test_memory_is_back_after_an_error_that_reached_the_cell(kernel: RunningKernel, cell: str, name: str) -> None:
    failed = kernel.run(cell)
    assert name in failed.error
    before, after = over(kernel)
    assert before >= HELD_MIB, "nothing was held, so this shows nothing"
    assert after < MOST_OVER_MIB
    told = kernel.run("%tb")
    assert "train" in told.text + told.error, "the traceback can still be shown"


def test_memory_is_back_after_errors_that_the_cell_has_put_by(kernel: RunningKernel) -> None:
    done = kernel.run(PUT_BY)
    assert not done.error, done.error
    before, after = over(kernel)
    assert before >= HELD_MIB and after < MOST_OVER_MIB
    assert "4 MemoryError" in kernel.run("print(len(errors), type(errors[0].__cause__ or errors[0]).__mro__[1].__name__)").text


def test_who_still_holds_memory_is_told_by_name(kernel: RunningKernel) -> None:
    done = kernel.run("class Box: pass\nbox = Box()\nbox.seen = [np.ones(2**24)]\n%guard clear")
    assert "held by box.seen[0] (128 MiB)" in done.text, done.text + done.error
    kernel.run("del box")


def test_memory_is_back_after_an_error_inside_a_trainer(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="kernels of the other stacks have no torch")
    for name, python in STACKS.items():
        with Machine(tmp_path / name, python).kernel() as kernel:
            for cell in (SETUP, TRAINER_SETUP):
                done = kernel.run(cell)
                assert not done.error, done.error
            failed = kernel.run("fit(1024)")
            assert "CUDA out of memory" in failed.error
            before, after = over(kernel)
            assert before >= HELD_MIB / 2, "nothing was held, so this shows nothing"
            assert after < MOST_OVER_MIB
