"""A toy denoising diffusion model: a noise schedule, an exponential average by deep copy, sampling between epochs."""
# needs: torch
# depth: 2
# %% setup
import copy

import torch
import torch.nn as nn

torch.manual_seed(5)
angles = torch.rand(80) * 6.28
data = torch.stack([angles.cos(), angles.sin()], 1)
# %% cell
T = 20
betas = torch.linspace(1e-3, 0.2, T)
alphas_bar = torch.cumprod(1 - betas, 0)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Embedding(T, 8)
        self.net = nn.Sequential(nn.Linear(10, 24), nn.SiLU(), nn.Linear(24, 24), nn.SiLU(), nn.Linear(24, 2))

    def forward(self, x, t):
        return self.net(torch.cat([x, self.time(t)], 1))


class EMA:
    def __init__(self, model, decay):
        self.model, self.decay = copy.deepcopy(model).eval().requires_grad_(False), decay

    @torch.no_grad()
    def update(self, model):
        for slow, fast in zip(self.model.parameters(), model.parameters()):
            slow.lerp_(fast, 1 - self.decay)


@torch.no_grad()
def sample(model, n):
    x = torch.randn(n, 2)
    for t in reversed(range(T)):
        eps = model(x, torch.full((n,), t))
        x = (x - betas[t] / (1 - alphas_bar[t]).sqrt() * eps) / (1 - betas[t]).sqrt()
        if t > 0:
            x = x + betas[t].sqrt() * torch.randn_like(x)
    return x


model = Denoiser()
ema = EMA(model, 0.95)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 130)
losses, samples = [], []
for epoch in range(13):
    for batch in data[torch.randperm(len(data))].split(8):
        t = torch.randint(0, T, (len(batch),))
        noise = torch.randn_like(batch)
        a = alphas_bar[t, None]
        loss = nn.functional.mse_loss(model(a.sqrt() * batch + (1 - a).sqrt() * noise, t), noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        ema.update(model)
        losses.append(loss.item())
        tick()
    samples.append(sample(ema.model, 4))
round(sum(losses[-10:]), 6)
