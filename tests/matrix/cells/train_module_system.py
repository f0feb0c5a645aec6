"""A small framework of the notebook's own: a LightningModule-like class, hooks, a fit() method, dictionaries of loggers."""
# needs: torch
# depth: 3
# %% setup
import torch
from torch import nn


class Module(nn.Module):
    def __init__(self):
        super().__init__()
        self.logged = {}

    def log(self, name, value):
        self.logged.setdefault(name, []).append(float(value))


class Fitter:
    def __init__(self, max_epochs, callbacks=()):
        self.max_epochs, self.callbacks, self.global_step = max_epochs, list(callbacks), 0

    def call(self, hook, *args):
        for callback in self.callbacks:
            getattr(callback, hook, lambda *a: None)(self, *args)

    def fit(self, module, train, val):
        optimizers, schedulers = module.configure_optimizers()
        for self.epoch in range(self.max_epochs):
            for index, batch in enumerate(train):
                for optimizer in optimizers:
                    optimizer.zero_grad()
                module.training_step(batch, index).backward()
                for optimizer in optimizers:
                    optimizer.step()
                self.global_step += 1
                self.call("on_batch_end", module)
                tick()
            for scheduler in schedulers:
                scheduler.step()
            with torch.no_grad():
                for batch in val:
                    module.validation_step(batch)
            self.call("on_epoch_end", module)
            if getattr(self, "should_stop", False):
                break


torch.manual_seed(31)
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
class Autoencoder(Module):
    def __init__(self, hidden):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(8, hidden), nn.Linear(hidden, 8)

    def training_step(self, batch, index):
        loss = ((self.decoder(torch.tanh(self.encoder(batch))) - batch) ** 2).mean()
        self.log("train", loss)
        return loss

    def validation_step(self, batch):
        self.log("val", ((self.decoder(torch.tanh(self.encoder(batch))) - batch) ** 2).mean())

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-2)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]


class Patience:
    def __init__(self, patience):
        self.patience, self.best, self.bad, self.state = patience, float("inf"), 0, None

    def on_epoch_end(self, fitter, module):
        value = module.logged["val"][-1]
        if value < self.best - 1e-4:
            self.best, self.bad, self.state = value, 0, {k: v.clone() for k, v in module.state_dict().items()}
        else:
            self.bad += 1
            fitter.should_stop = self.bad >= self.patience


X = torch.randn(80, 8)
train = torch.utils.data.DataLoader(X[:64], batch_size=8, shuffle=True)
val = torch.utils.data.DataLoader(X[64:], batch_size=8)
stopper = Patience(2)
module, fitter = Autoencoder(3), Fitter(14, [stopper])
fitter.fit(module, train, val)
module.load_state_dict(stopper.state)
fitter.global_step, fitter.epoch, round(stopper.best, 6)
