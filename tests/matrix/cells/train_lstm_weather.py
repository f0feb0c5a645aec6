"""A time series with an LSTM: hidden state carried and detached, teacher forcing by chance, a plateau schedule, checkpoints."""
# needs: torch, numpy
# depth: 2
# %% setup
import copy
import random

import numpy as np
import torch
from torch import nn

torch.manual_seed(2)
series = torch.tensor(np.sin(np.arange(400) / 7) + 0.1 * np.random.default_rng(3).normal(size=400), dtype=torch.float32)
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
class Forecaster(nn.Module):
    def __init__(self, hidden=12):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, num_layers=2, dropout=0.1, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x, state=None):
        out, state = self.lstm(x, state)
        return self.head(out), state


model = Forecaster()
optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3)
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
best, best_state, curve = float("inf"), None, []
train, val = series[:320], series[320:]
for epoch in range(6):
    model.train()
    hidden, losses = None, []
    for start in range(0, 300, 15):
        window = train[start : start + 16]
        x, y = window[:-1].view(1, -1, 1), window[1:].view(1, -1, 1)
        if hidden is not None:
            hidden = tuple(h.detach() for h in hidden)
        if random.random() < 0.3:
            x = x + 0.05 * torch.randn_like(x)
        prediction, hidden = model(x, hidden)
        loss = nn.functional.smooth_l1_loss(prediction, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        tick()
    model.eval()
    with torch.inference_mode():
        prediction, _ = model(val[:-1].view(1, -1, 1))
        score = nn.functional.mse_loss(prediction.view(-1), val[1:]).item()
    plateau.step(score)
    if score < best:
        best, best_state = score, copy.deepcopy(model.state_dict())
        torch.save({"epoch": epoch, "model": best_state, "optimizer": optimizer.state_dict()}, "best.pt")
    curve.append((sum(losses) / len(losses), score))
model.load_state_dict(best_state)
round(best, 6), plateau.num_bad_epochs, [round(a, 5) for a, _ in curve]
