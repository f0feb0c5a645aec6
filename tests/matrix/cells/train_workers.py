"""A loader with two workers, a generator and a worker_init_fn, whose data set draws random numbers of its own."""
# needs: torch, numpy
# %% setup
import random

import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(29)
random.seed(29)
np.random.seed(29)


class Augmented(torch.utils.data.Dataset):
    def __init__(self, n):
        self.x = torch.randn(n, 4)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i] + torch.randn(4) * 0.1, float(np.random.rand() + random.random())


def seed_worker(worker_id):
    worker_seed = torch.initial_seed() % 2**32
    np.random.seed(worker_seed)
    random.seed(worker_seed)
# %% cell
g = torch.Generator()
g.manual_seed(0)
loader = torch.utils.data.DataLoader(Augmented(96), batch_size=8, shuffle=True, num_workers=2, worker_init_fn=seed_worker, generator=g)
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
seen = []
for epoch in range(8):
    for x, t in loader:
        loss = nn.functional.mse_loss(model(x).squeeze(1), t.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(x.sum().item())
        tick()
round(sum(seen), 5), round(loss.item(), 7)
