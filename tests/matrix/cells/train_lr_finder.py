"""A learning rate finder that saves and restores the state, then a one-cycle schedule over the loader held by hand."""
# needs: torch, numpy
# %% setup
import copy

import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(16)
X = torch.randn(120, 5)
y = X @ torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0]) + 0.1 * torch.randn(120)
model = nn.Sequential(nn.Linear(5, 10), nn.Tanh(), nn.Linear(10, 1))
# %% cell
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), batch_size=10, shuffle=True)
initial = copy.deepcopy(model.state_dict())
optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
iterator, lrs, losses, smooth, best = iter(loader), [], [], 0.0, float("inf")
for step in range(60):
    try:
        xb, yb = next(iterator)
    except StopIteration:
        iterator = iter(loader)
        xb, yb = next(iterator)
    optimizer.param_groups[0]["lr"] = 1e-4 * (1e4) ** (step / 59)
    loss = nn.functional.mse_loss(model(xb).squeeze(1), yb)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    smooth = 0.9 * smooth + 0.1 * loss.item()
    corrected = smooth / (1 - 0.9 ** (step + 1))
    lrs.append(optimizer.param_groups[0]["lr"])
    losses.append(corrected)
    best = min(best, corrected)
    tick()
    if corrected > 4 * best:
        break
steepest = lrs[int(np.gradient(np.array(losses)).argmin())]
model.load_state_dict(initial)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=72, pct_start=0.3)
curve = []
while scheduler.last_epoch < 71:
    for xb, yb in loader:
        loss = nn.functional.mse_loss(model(xb).squeeze(1), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        curve.append((scheduler.get_last_lr()[0], optimizer.param_groups[0]["betas"][0], loss.item()))
        tick()
        if scheduler.last_epoch >= 71:
            break
del iterator
round(steepest, 8), len(curve), round(curve[-1][2], 7)
