"""A contrastive model: two views by random functions, normalised features, a temperature as a parameter, a queue of keys."""
# needs: torch
# depth: 2
# %% setup
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

random.seed(20)
torch.manual_seed(20)
X = torch.randn(72, 10)


class Compose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, x):
        for t in self.transforms:
            x = t(x)
        return x


augment = Compose([lambda x: x + 0.1 * torch.randn_like(x), lambda x: x * random.uniform(0.8, 1.2), lambda x: F.dropout(x, 0.2)])
# %% cell
class SimCLR(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(10, 16), nn.ReLU())
        self.head = nn.Linear(16, 6)
        self.log_t = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("queue", F.normalize(torch.randn(12, 6), dim=1))
        self.register_buffer("ptr", torch.zeros(1, dtype=torch.long))

    @torch.no_grad()
    def enqueue(self, keys):
        p = int(self.ptr)
        for i, key in enumerate(keys):
            self.queue[(p + i) % len(self.queue)] = key
        self.ptr[0] = (p + len(keys)) % len(self.queue)

    def forward(self, a, b):
        z1, z2 = F.normalize(self.head(self.encoder(a)), dim=1), F.normalize(self.head(self.encoder(b)), dim=1)
        logits = torch.cat([z1 @ z2.t(), z1 @ self.queue.clone().t()], 1) * self.log_t.exp()
        return F.cross_entropy(logits, torch.arange(len(a))), z2


class Trainer:
    def __init__(self, model, epochs):
        self.model, self.epochs, self.curve = model, epochs, []
        self.opt = torch.optim.Adam(model.parameters(), lr=1e-2)
        lambdas = [lambda e: min(1.0, (e + 1) / 3) * 0.95 ** e]
        self.sched = torch.optim.lr_scheduler.LambdaLR(self.opt, lambdas)

    def fit(self, data):
        for self.epoch in range(self.epochs):
            order, total = torch.randperm(len(data)), 0.0
            for start in range(0, len(data), 8):
                batch = data[order[start : start + 8]]
                loss, keys = self.model(augment(batch), augment(batch))
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
                self.model.enqueue(keys.detach())
                total += loss.item()
                tick()
            self.sched.step()
            self.curve.append(total)
        return self.curve


trainer = Trainer(SimCLR(), 14)
curve = trainer.fit(X)
round(curve[-1], 6), round(trainer.model.log_t.item(), 6)
