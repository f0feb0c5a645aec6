"""Weight averaging: a StochasticWeightAveraging tail with SWALR, an own EMA with a shadow, batch norm updated at the end."""
# needs: torch
# %% setup
import torch
import torch.nn as nn
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn

torch.manual_seed(19)
X = torch.randn(80, 8)
y = (X.pow(2).sum(1) > 8).long()


class EMA:
    def __init__(self, model, decay):
        self.model, self.decay, self.backup = model, decay, {}
        self.shadow = {n: p.data.clone() for n, p in model.named_parameters() if p.requires_grad}

    def update(self):
        for n, p in self.model.named_parameters():
            self.shadow[n] = (1.0 - self.decay) * p.data + self.decay * self.shadow[n]

    def apply_shadow(self):
        for n, p in self.model.named_parameters():
            self.backup[n] = p.data
            p.data = self.shadow[n]

    def restore(self):
        for n, p in self.model.named_parameters():
            p.data = self.backup[n]
        self.backup = {}
# %% cell
model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), batch_size=10, shuffle=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
swa_model, ema = AveragedModel(model), EMA(model, 0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=16)
swa_start, swa_scheduler = 9, SWALR(optimizer, swa_lr=0.02, anneal_epochs=3)
accuracy = {"plain": [], "ema": []}
for epoch in range(16):
    for xb, yb in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(xb), yb).backward()
        optimizer.step()
        ema.update()
        tick()
    if epoch > swa_start:
        swa_model.update_parameters(model)
        swa_scheduler.step()
    else:
        scheduler.step()
    model.eval()
    with torch.no_grad():
        accuracy["plain"].append((model(X).argmax(1) == y).float().mean().item())
        ema.apply_shadow()
        accuracy["ema"].append((model(X).argmax(1) == y).float().mean().item())
        ema.restore()
    model.train()
update_bn(loader, swa_model)
swa_model.eval()
round((swa_model(X).argmax(1) == y).float().mean().item(), 6), accuracy["ema"][-1]
