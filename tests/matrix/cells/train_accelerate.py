"""accelerate's Accelerator: prepared model, optimizer, loader and schedule, accumulation in its context, gathered metrics."""
# needs: torch, accelerate
# depth: 2
# %% setup
import torch
from accelerate import Accelerator

torch.manual_seed(8)
X = torch.randn(96, 6)
Y = X @ torch.randn(6, 1) + 0.1 * torch.randn(96, 1)
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
model = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.Tanh(), torch.nn.Dropout(0.1), torch.nn.Linear(12, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=8, shuffle=True)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=60)
model, optimizer, loader, scheduler = accelerator.prepare(model, optimizer, loader, scheduler)
losses = []
for epoch in range(10):
    model.train()
    for inputs, targets in loader:
        with accelerator.accumulate(model):
            loss = torch.nn.functional.mse_loss(model(inputs), targets)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        losses.append(accelerator.gather(loss.detach()).mean().item())
        tick()
weights = [p.detach().clone() for p in accelerator.unwrap_model(model).parameters()]
rate = scheduler.get_last_lr()
del model, optimizer, loader, scheduler, accelerator
len(losses), round(losses[-1], 6), rate
