"""Meta-learning: functional inner steps through autograd.grad with a kept graph, tasks drawn at random, an outer optimizer."""
# needs: torch
# %% setup
import math

import torch
from torch.func import functional_call

torch.manual_seed(41)
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
outer = torch.optim.Adam(net.parameters(), lr=1e-2)
log = []


def draw():
    amplitude, phase = 0.1 + 4.9 * torch.rand(1), math.pi * torch.rand(1)
    x = torch.rand(10, 1) * 10 - 5
    return x, amplitude * torch.sin(x + phase)


for iteration in range(15):
    outer.zero_grad()
    meta_loss = 0.0
    for task in range(4):
        x, y = draw()
        fast = dict(net.named_parameters())
        for inner in range(2):
            loss = ((functional_call(net, fast, (x[:5],)) - y[:5]) ** 2).mean()
            grads = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
            fast = {name: p - 0.01 * g for (name, p), g in zip(fast.items(), grads)}
        meta_loss = meta_loss + ((functional_call(net, fast, (x[5:],)) - y[5:]) ** 2).mean()
        tick()
    (meta_loss / 4).backward()
    outer.step()
    log.append(meta_loss.item() / 4)
    del meta_loss, loss, grads, fast
    tick()
[round(v, 5) for v in log[-3:]]
