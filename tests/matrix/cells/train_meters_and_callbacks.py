"""A small training framework of the notebook: callbacks, an event loop, metrics as classes with operators, checkpoints."""
# needs: torch
# depth: 3
# %% setup
import copy
from abc import ABC, abstractmethod
from collections import defaultdict

import torch
import torch.nn as nn

torch.manual_seed(32)
X = torch.randn(96, 6)
y = (X[:, 0] * X[:, 1] > 0).float()


class Callback(ABC):
    @abstractmethod
    def on_epoch_end(self, trainer): ...

    def on_batch_end(self, trainer):
        pass


class EarlyStopping(Callback):
    def __init__(self, patience):
        self.patience, self.best, self.bad, self.best_state = patience, float("inf"), 0, None

    def on_epoch_end(self, trainer):
        value = trainer.metrics["val"].compute()
        if value < self.best - 1e-4:
            self.best, self.bad, self.best_state = value, 0, copy.deepcopy(trainer.model.state_dict())
        else:
            self.bad += 1
            trainer.should_stop = self.bad >= self.patience


class History(Callback):
    def __init__(self):
        self.data = defaultdict(list)

    def on_batch_end(self, trainer):
        self.data["batch"].append(trainer.loss.item())

    def on_epoch_end(self, trainer):
        for name, metric in trainer.metrics.items():
            self.data[name].append(metric.compute())


class Mean:
    def __init__(self):
        self.total, self.n = 0.0, 0

    def __iadd__(self, value):
        self.total += value
        self.n += 1
        return self

    def compute(self):
        return self.total / max(1, self.n)


class Trainer:
    def __init__(self, model, optimizer, callbacks):
        self.model, self.optimizer, self.callbacks = model, optimizer, callbacks
        self.should_stop = False

    def call(self, event):
        for callback in self.callbacks:
            getattr(callback, event)(self)

    def batches(self, part, size=8, shuffle=False):
        order = torch.randperm(len(part)) if shuffle else torch.arange(len(part))
        for i in range(0, len(part), size):
            yield X[part][order[i : i + size]], y[part][order[i : i + size]]

    def run_epoch(self, part, train):
        self.model.train(train)
        for xb, yb in self.batches(part, shuffle=train):
            with torch.set_grad_enabled(train):
                self.loss = nn.functional.binary_cross_entropy_with_logits(self.model(xb).squeeze(1), yb)
            if train:
                self.optimizer.zero_grad()
                self.loss.backward()
                self.optimizer.step()
                self.call("on_batch_end")
            self.metrics["train" if train else "val"] += self.loss.item()
            tick()

    def fit(self, epochs):
        for self.epoch in range(epochs):
            self.metrics = {"train": Mean(), "val": Mean()}
            self.run_epoch(torch.arange(64), True)
            self.run_epoch(torch.arange(64, 96), False)
            self.call("on_epoch_end")
            if self.should_stop:
                break
        return self
# %% cell
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))
stopper, history = EarlyStopping(3), History()
trainer = Trainer(model, torch.optim.Adam(model.parameters(), lr=1e-2), [history, stopper]).fit(12)
trainer.epoch, round(stopper.best, 6), len(history.data["batch"])
