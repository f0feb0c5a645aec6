"""A Wasserstein GAN: several critic steps per generator step, weights clamped through `.data`, an endless batch iterator."""
# needs: torch
# %% setup
import torch
import torch.nn as nn

torch.manual_seed(4)
points = torch.randn(64, 3) * 0.5 + 1.0


def infinite(tensor, size):
    while True:
        order = torch.randperm(len(tensor))
        for start in range(0, len(tensor), size):
            yield tensor[order[start : start + size]]
# %% cell
critic = nn.Sequential(nn.Linear(3, 12), nn.ReLU(), nn.Linear(12, 1))
gen = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 3))
optimizers = {"critic": torch.optim.RMSprop(critic.parameters(), lr=1e-3), "gen": torch.optim.RMSprop(gen.parameters(), lr=1e-3)}
batches = infinite(points, 12)
history = {"w": [], "g": []}
for step in range(30):
    for p in critic.parameters():
        p.requires_grad = True
    for _ in range(4):
        real = next(batches)
        with torch.no_grad():
            fake = gen(torch.randn(len(real), 2))
        w_loss = critic(fake).mean() - critic(real).mean()
        optimizers["critic"].zero_grad()
        w_loss.backward()
        optimizers["critic"].step()
        for p in critic.parameters():
            p.data.clamp_(-0.05, 0.05)
        tick()
    for p in critic.parameters():
        p.requires_grad = False
    g_loss = -critic(gen(torch.randn(12, 2))).mean()
    optimizers["gen"].zero_grad()
    g_loss.backward()
    optimizers["gen"].step()
    history["w"].append(w_loss.item())
    history["g"].append(g_loss.item())
    tick()
biggest = max(p.abs().max().item() for p in critic.parameters())
del batches
biggest <= 0.0501, round(sum(history["g"]), 6)
