"""A Wasserstein GAN with gradient penalty (create_graph), an autograd.Function of the notebook, spectral norm as parametrization."""
# needs: torch
# unit: 0
# %% setup
import numpy
numpy.random.seed(0)
import torch
import torch.nn as nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

torch.manual_seed(5)


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.strength * grad, None


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(spectral_norm(nn.Linear(2, 16)), nn.LeakyReLU(0.2), weight_norm(nn.Linear(16, 16)), nn.SiLU())
        self.out = nn.Linear(16, 1)
        self.norms = []
        self.body[2].register_full_backward_hook(self._note)

    def _note(self, module, grad_in, grad_out):
        self.norms.append(round(grad_out[0].norm().item(), 7))

    def forward(self, x, strength=None):
        h = self.body(x)
        return self.out(h if strength is None else Reverse.apply(h, strength))


def gradient_penalty(critic, real, fake):
    eps = torch.rand(len(real), 1)
    mixed = (eps * real + (1 - eps) * fake).requires_grad_(True)
    (g,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    return ((g.norm(2, dim=1) - 1) ** 2).mean()
# %% cell
G = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 2))
D = Critic()
opt_g, opt_d = torch.optim.Adam(G.parameters(), 1e-3, betas=(0.0, 0.9)), torch.optim.Adam(D.parameters(), 1e-3, betas=(0.0, 0.9))
history = {"g": [], "d": [], "gp": []}
for it in range(60):
    for p in D.parameters():
        p.requires_grad_(True)
    for _ in range(3):
        real = torch.randn(16, 2) * 0.3 + torch.tensor([1.0, -1.0])
        fake = G(torch.randn(16, 3)).detach()
        gp = gradient_penalty(D, real, fake)
        d_loss = D(fake).mean() - D(real).mean() + 10 * gp
        opt_d.zero_grad()
        d_loss.backward()
        opt_d.step()
        history["gp"].append(gp.item())
        tick()
    for p in D.parameters():
        p.requires_grad_(False)
    g_loss = -D(G(torch.randn(16, 3)), 0.5).mean()
    opt_g.zero_grad()
    g_loss.backward()
    opt_g.step()
    history["g"].append(g_loss.item())
    if it == 30:
        opt_g.add_param_group({"params": [nn.Parameter(torch.zeros(2))], "lr": 1e-4})
round(history["g"][-1], 5), len(D.norms), len(opt_g.param_groups)
