"""Cells that train, run to their end, and again killed in the middle and resumed in another process."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

SETUP = """
import random
import numpy as np
import torch
import peft
import transformers
from sklearn.datasets import load_digits
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments
from transformers import ViTConfig, ViTForImageClassification

pixels, classes = load_digits(return_X_y=True)

class Digits(torch.utils.data.Dataset):
    def __init__(self, first, last, augment):
        self.range, self.augment = range(first, last), augment
    def __len__(self):
        return len(self.range)
    def __getitem__(self, index):
        k = self.range[index]
        image = torch.tensor(pixels[k], dtype=torch.float32).reshape(1, 8, 8) / 16
        if self.augment:
            image = torch.roll(image, random.randint(-1, 1), 2) + np.random.normal() * 0.1
            image = image + torch.randn_like(image) * 0.05
        return {"pixel_values": image, "labels": int(classes[k])}

class Words(torch.utils.data.Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, index):
        words = torch.randint(5, 40, (6,), generator=torch.Generator().manual_seed(index))
        words[random.randrange(6)] = 4
        return {"input_ids": words, "attention_mask": torch.ones(6, dtype=torch.long), "labels": index % 3}

class Counting(TrainerCallback):
    def __init__(self):
        self.calls, self.sums = {}, []
    def on_train_begin(self, args, state, control, **more):
        self.calls["begin"] = self.calls.get("begin", 0) + 1
    def on_epoch_begin(self, args, state, control, **more):
        self.calls["epoch"] = self.calls.get("epoch", 0) + 1
    def on_step_begin(self, args, state, control, **more):
        self.calls["step"] = self.calls.get("step", 0) + 1
    def on_step_end(self, args, state, control, model=None, **more):
        self.sums.append(sum(float(p.sum()) for p in model.parameters()))
    def on_evaluate(self, args, state, control, metrics=None, **more):
        self.calls["evaluate"] = self.calls.get("evaluate", 0) + 1

def vit():
    return ViTForImageClassification(ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4,
        num_channels=1, num_labels=10, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1))

def bert():
    return BertForSequenceClassification(BertConfig(
        vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=3,
        max_position_embeddings=8))

def arguments(**more):
    usual = dict(output_dir="out", per_device_train_batch_size=8, num_train_epochs=2, learning_rate=1e-2,
                 lr_scheduler_type="cosine", warmup_steps=2, logging_steps=2, save_strategy="no", report_to="none",
                 use_cpu=True, disable_tqdm=True)
    return TrainingArguments(**{**usual, **more})

transformers.set_seed(5)
"""


class Machine:
    """A process that has only imported the libraries; every job runs in a fork of it."""

    def __init__(self, hash_seed: int, folder: Path) -> None:
        self.folder = folder
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "stderr").open("w"),
            text=True,
            env=environment,
            cwd=ROOT,
        )

    def do(self, job: dict[str, Any]) -> dict[str, Any]:
        answer = Path(job["answer"])
        say, hear = self.process.stdin, self.process.stdout
        assert say is not None and hear is not None
        say.write(json.dumps(job) + "\n")
        say.flush()
        assert hear.readline() == "done\n", (self.folder / "stderr").read_text()[-3000:]
        told: dict[str, Any] = json.loads(answer.read_text())
        assert "error" not in told, told["error"]
        return told

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


class Bench:
    """Two machines that take turns: what one captured, the other resumes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machines = []
        for seed in (1, 2):
            own = folder / f"machine{seed}"
            own.mkdir()
            self.machines.append(Machine(seed, own))
        self._number = itertools.count()

    def run(self, cell: str, *, on: int = 0, setup: str = "", **more: Any) -> dict[str, Any]:
        number = next(self._number)
        folder = self.folder / f"work{number}"
        folder.mkdir()
        job = {
            "setup": SETUP + setup,
            "cell": cell,
            "kill_at": None,
            "start": None,
            "plain": False,
            "folder": str(folder),
            "snapshot": str(folder / "snapshot"),
            "answer": str(folder / "answer"),
            **more,
        }
        told = self.machines[on].do(job)
        told["snapshot"] = job["snapshot"]
        return told

    def killed(self, cell: str, *kills: int, setup: str = "") -> dict[str, Any]:
        """Killed at safe point `kills[0]`, resumed elsewhere, killed at `kills[1]` counted from there, and so on."""
        start, on = None, 0
        for number, kill in enumerate(kills):
            on = number % 2
            told = self.run(cell, on=on, setup=setup, kill_at=kill, start=start)
            assert told["killed"], told
            start = told["snapshot"]
        return self.run(cell, on=1 - on, setup=setup, start=start)

    def close(self) -> None:
        for machine in self.machines:
            machine.close()
